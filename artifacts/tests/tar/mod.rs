//! Writes tar files byte by byte, so that they can be wrong in any way.

/// An archive being written.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// A header with these fields as they are, and a right checksum.
    pub(crate) fn header(name: &[u8], flag: u8, size: &[u8], edit: impl Fn(&mut [u8; 512])) -> [u8; 512] {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..124 + size.len()].copy_from_slice(size);
        block[156] = flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        edit(&mut block);
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// Any entry, its header edited before the checksum is computed.
    pub(crate) fn edited(mut self, name: &str, flag: u8, bytes: &[u8], edit: impl Fn(&mut [u8; 512])) -> Self {
        let size = format!("{:011o}\0", bytes.len());
        self.0.extend(Self::header(name.as_bytes(), flag, size.as_bytes(), edit));
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn entry(self, name: &str, flag: u8, bytes: &[u8]) -> Self {
        self.edited(name, flag, bytes, |_| ())
    }

    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(name, b'0', bytes)
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.edited(name, b'2', b"", |block| block[157..157 + target.len()].copy_from_slice(target.as_bytes()))
    }

    /// A pax header of these records.
    pub(crate) fn pax(self, flag: u8, records: &[(&str, &str)]) -> Self {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.entry("PaxHeaders/x", flag, text.as_bytes())
    }

    /// With the end mark.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// `<length> <key>=<value>\n`, whose length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.unwrap_or_default())
}
