//! Ed25519 keys: how they are written in files and documents.
//!
//! Private keys are PKCS#8 PEM, plain or encrypted (RFC 5958, RFC 8018); public keys SPKI PEM (RFC 8410) or an OpenSSH
//! line (RFC 4253 §6.6, RFC 8709). A weak public key (of small order) is refused when it is read, so it can't be in a
//! trust policy. Private key bytes are wiped when dropped and never printed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ed25519_dalek::pkcs8::spki::EncodePublicKey as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncodePrivateKey as _, LineEnding, PrivateKeyInfoRef};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::Digest;

/// A key that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither of the two ways to write a public key.
    #[error("not a public key: expected SPKI PEM (BEGIN PUBLIC KEY) or an OpenSSH line (ssh-ed25519 …)")]
    NotPublic,
    /// A private key where a public one belongs; the file is in the wrong place.
    #[error("this is a private key where a public one belongs: use the .pub.pem file, and check who could read it")]
    PrivateInstead,
    /// Of small order: signatures under it prove nothing.
    #[error("the public key is weak (of small order): generate a new one")]
    Weak,
    /// Not a PKCS#8 PEM.
    #[error("not a private key: expected PKCS#8 PEM (BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY)")]
    NotPrivate,
    /// PKCS#8, but no sound Ed25519 key: another algorithm, damaged, or with another key's public half.
    #[error("the PKCS#8 document holds no sound Ed25519 key")]
    NotEd25519,
    /// Encrypted, and no passphrase was given.
    #[error("the private key is encrypted: give its passphrase with --passphrase-file or AIRLOCK_PASSPHRASE")]
    PassphraseNeeded,
    /// The passphrase doesn't open it.
    #[error("wrong passphrase for the private key")]
    WrongPassphrase,
    /// The passphrase can't be used to encrypt.
    #[error("the private key can't be encrypted: {0}")]
    Encryption(String),
}

/// An Ed25519 public key that is not weak.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

const SSH_TYPE: &str = "ssh-ed25519";
/// `string "ssh-ed25519"`, then the length of the key that follows.
const SSH_HEAD: &[u8] = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20";

impl PublicKey {
    fn from_verifying(key: VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// From its 32 bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// When they are no point of the curve, or a weak one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_verifying(VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotPublic)?)
    }

    /// From DER as AWS KMS tells a public key: SubjectPublicKeyInfo (RFC 8410).
    ///
    /// # Errors
    /// When it is another kind of key, or a weak one.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_verifying(VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::NotPublic)?)
    }

    /// The 32 bytes by which keys are counted.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// `SHA256:` and the OpenSSH fingerprint, as `ssh-keygen -l` prints it. In an envelope it is only a hint.
    pub fn id(&self) -> KeyId {
        let fingerprint = Digest::of(&self.ssh_blob());
        KeyId(format!("SHA256:{}", STANDARD_NO_PAD.encode(fingerprint.as_bytes())))
    }

    /// SPKI PEM, as `openssl pkey -pubout` writes it.
    pub fn to_pem(&self) -> String {
        #[expect(clippy::expect_used, reason = "32 bytes always encode")]
        self.0.to_public_key_pem(LineEnding::LF).expect("an Ed25519 key encodes")
    }

    /// Whether `signature` is this key's over `message`: strict, so that there is one valid signature encoding and no
    /// small-order component (RFC 8032 §5.1.7 with the checks of "Taming the many EdDSAs").
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }

    fn ssh_blob(&self) -> Vec<u8> {
        [SSH_HEAD, self.as_bytes()].concat()
    }

    fn from_ssh(line: &str) -> Result<Self, KeyError> {
        let encoded = line.split_whitespace().nth(1).ok_or(KeyError::NotPublic)?;
        let blob = STANDARD.decode(encoded).map_err(|_| KeyError::NotPublic)?;
        let key: &[u8] = blob.strip_prefix(SSH_HEAD).ok_or(KeyError::NotPublic)?;
        Self::from_bytes(key.try_into().map_err(|_| KeyError::NotPublic)?)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads SPKI PEM or one OpenSSH line.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with(SSH_TYPE) && !text.contains('\n') {
            Self::from_ssh(text)
        } else if text.contains("PRIVATE KEY-----") {
            Err(KeyError::PrivateInstead)
        } else {
            Self::from_verifying(VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::NotPublic)?)
        }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    /// The OpenSSH line, without a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SSH_TYPE} {}", STANDARD.encode(self.ssh_blob()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id(), f)
    }
}

crate::names::string_schema!(PublicKey, "PublicKey", "^ssh-ed25519 [A-Za-z0-9+/=]{68}$", "An OpenSSH Ed25519 key.");

/// `SHA256:<OpenSSH fingerprint>`: a hint which key signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An Ed25519 private key.
pub struct SecretKey(SigningKey);

/// Random bytes for encrypting a private key.
pub struct EncryptionNonce {
    /// Salt of the key derivation.
    pub salt: [u8; 16],
    /// Initialisation vector of the cipher.
    pub iv: [u8; 16],
}

impl SecretKey {
    /// The key grown from a 32-byte seed, which must come from the system's random source.
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM; `passphrase` is used only when the document is encrypted.
    ///
    /// # Errors
    /// When it is no PKCS#8 PEM, holds another kind of key, names another key's public half, or when the passphrase is
    /// missing or wrong.
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let (label, document) = pkcs8::SecretDocument::from_pem(pem.trim()).map_err(|_| KeyError::NotPrivate)?;
        match label {
            "PRIVATE KEY" => Self::from_der(document.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
                let encrypted = encrypted.map_err(|_| KeyError::NotPrivate)?;
                let plain = encrypted.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
                Self::from_der(plain.as_bytes())
            }
            _ => Err(KeyError::NotPrivate),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_der(der).map(Self).map_err(|_| KeyError::NotEd25519)
    }

    /// PKCS#8 v1 PEM, byte for byte what `openssl genpkey -algorithm ed25519` writes for the same key.
    pub fn to_pem(&self) -> Zeroizing<String> {
        #[expect(clippy::expect_used, reason = "32 bytes always encode")]
        self.pkcs8().to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key encodes")
    }

    /// PKCS#8 PEM encrypted with scrypt (N = 2^15, r = 8, p = 1) and AES-256-CBC.
    ///
    /// # Errors
    /// When the passphrase is empty.
    pub fn to_encrypted_pem(&self, passphrase: &str, nonce: &EncryptionNonce) -> Result<Zeroizing<String>, KeyError> {
        let refuse = |error: &dyn fmt::Display| KeyError::Encryption(error.to_string());
        if passphrase.is_empty() {
            return Err(refuse(&"the passphrase is empty"));
        }
        let cost = pkcs8::pkcs5::scrypt::Params::new(15, 8, 1).map_err(|error| refuse(&error))?;
        let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &nonce.salt, nonce.iv);
        let der = self.pkcs8().to_pkcs8_der().map_err(|error| refuse(&error))?;
        let plain = PrivateKeyInfoRef::try_from(der.as_bytes()).map_err(|error| refuse(&error))?;
        let sealed = plain.encrypt_with_params(scheme.map_err(|error| refuse(&error))?, passphrase);
        let sealed = sealed.map_err(|error| refuse(&error))?;
        sealed.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|error| refuse(&error))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message` (RFC 8032 §5.1.6).
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    fn pkcs8(&self) -> KeypairBytes {
        KeypairBytes { secret_key: self.0.to_bytes(), public_key: None }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A key whose seed is `byte` thirty-two times.
    pub(crate) fn key(byte: u8) -> SecretKey {
        SecretKey::from_seed(&Zeroizing::new([byte; 32]))
    }

    const NONCE: EncryptionNonce = EncryptionNonce { salt: [1; 16], iv: [2; 16] };

    #[test]
    fn private_keys_round_trip_plain_and_encrypted() {
        let secret = key(7);
        let plain = secret.to_pem();
        assert_eq!(SecretKey::from_pem(&plain, None).unwrap().public(), secret.public());
        let sealed = secret.to_encrypted_pem("correct horse", &NONCE).unwrap();
        assert_eq!(SecretKey::from_pem(&sealed, Some("correct horse")).unwrap().public(), secret.public());
        assert_eq!(SecretKey::from_pem(&sealed, Some("wrong")).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(SecretKey::from_pem(&sealed, None).unwrap_err(), KeyError::PassphraseNeeded);
        assert!(secret.to_encrypted_pem("", &NONCE).is_err(), "an empty passphrase protects nothing");
    }

    #[test]
    fn public_keys_round_trip_in_both_forms() {
        let public = key(7).public();
        assert_eq!(public.to_pem().parse(), Ok(public));
        assert_eq!(public.to_string().parse(), Ok(public));
        let (_, der) = pkcs8::Document::from_pem(&public.to_pem()).unwrap();
        assert_eq!(PublicKey::from_spki_der(der.as_bytes()), Ok(public));
        assert_eq!(PublicKey::from_spki_der(&der.as_bytes()[1..]), Err(KeyError::NotPublic));
        assert_eq!(format!("{public} alice@laptop").parse(), Ok(public));
        assert_eq!(key(7).to_pem().parse::<PublicKey>(), Err(KeyError::PrivateInstead));
    }

    /// Made with OpenSSH 9.2: `ssh-keygen -t ed25519`, `ssh-keygen -lf`.
    #[test]
    fn the_id_is_what_ssh_keygen_prints() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICRMQpEH1XuZ5m2FPpgSiWXGmwXLUN8AMgGYcMSKRUmr test";
        let key: PublicKey = line.parse().unwrap();
        assert_eq!(key.id().to_string(), "SHA256:JLwYelUy8Gic2FaAFwMPiiamReWISgHEOdCpC4aj3KY");
    }

    /// Threat model, row 12: a small-order key verifies almost anything.
    #[test]
    fn weak_keys_are_refused() {
        for weak in ["00".repeat(32), format!("01{}", "00".repeat(31)), format!("ec{}7f", "ff".repeat(30))] {
            let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&weak[2 * i..2 * i + 2], 16).unwrap()).collect();
            assert!(PublicKey::from_bytes(&bytes.try_into().unwrap()).is_err(), "{weak} was taken");
        }
    }

    /// Threat model, row 13: signing with one key's secret and another's public half leaks the secret.
    #[test]
    fn a_foreign_public_half_is_refused() {
        let foreign = KeypairBytes {
            secret_key: key(1).0.to_bytes(),
            public_key: Some(ed25519_dalek::pkcs8::PublicKeyBytes(*key(2).public().as_bytes())),
        };
        let pem = foreign.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(SecretKey::from_pem(&pem, None).unwrap_err(), KeyError::NotEd25519);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = key(7);
        assert_eq!(format!("{secret:?}"), format!("SecretKey({})", secret.public().id()));
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        let pem = key(1).to_pem();
        for (case, text, error) in [
            ("empty", String::new(), KeyError::NotPrivate),
            ("public instead", key(1).public().to_pem(), KeyError::NotPrivate),
            ("truncated", pem[..pem.len() / 2].to_owned(), KeyError::NotPrivate),
            ("damaged", pem.replace("MC4C", "MC4D"), KeyError::NotEd25519),
        ] {
            assert_eq!(SecretKey::from_pem(&text, None).unwrap_err(), error, "{case}");
        }
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2E=", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError::NotPublic), "{text:?}");
        }
    }
}
