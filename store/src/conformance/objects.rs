//! Properties of objects and listings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use manifest_schema::manifest::BlobRef;
use manifest_schema::storage::{Key, prefix};
use tokio::task::JoinSet;

use super::{Backend, all_keys, claim, heartbeat, launch, lease};
use crate::{Creation, Listed, Replacement, Store, StoreError};

/// Of 64 that create one key at the same time, one succeeds, and its bytes are there.
pub async fn one_creator_wins(backend: &impl Backend) {
    let store = backend.fresh().await;
    for round in 0..4 {
        let key = launch(&format!("round {round}"));
        let mut racers = JoinSet::new();
        for racer in 0..64_u32 {
            let (store, key) = (store.clone(), key.clone());
            racers.spawn(async move {
                let bytes = format!("racer {racer}").repeat(100);
                (store.create(&key, bytes.as_bytes()).await.unwrap(), bytes)
            });
        }
        let ended = racers.join_all().await;
        let winners: Vec<_> = ended.iter().filter(|(creation, _)| *creation == Creation::Created).collect();
        assert_eq!(winners.len(), 1, "one of 64 creates an object");
        assert_eq!(store.get(&key, 10_000).await.unwrap().unwrap().bytes, winners[0].1.as_bytes());
    }
}

/// What was created stays: creating again changes nothing, and replacing and overwriting are refused.
pub async fn created_objects_never_change(backend: &impl Backend) {
    let store = backend.fresh().await;
    for key in [launch("x"), claim(1)] {
        assert_eq!(store.get(&key, 100).await.unwrap(), None);
        assert_eq!(store.size_of(&key).await.unwrap(), None);
        assert_eq!(store.create(&key, b"first").await.unwrap(), Creation::Created);
        assert_eq!(store.create(&key, b"first").await.unwrap(), Creation::Exists);
        let before = store.get(&key, 100).await.unwrap().unwrap();
        assert_eq!(store.create(&key, b"second").await.unwrap(), Creation::Exists);
        let replaced = store.replace(&key, b"second", Some(&before.version)).await;
        assert!(matches!(replaced, Err(StoreError::Unsupported { .. })), "{key} was replaced");
        assert!(matches!(store.put(&key, b"second").await, Err(StoreError::Unsupported { .. })), "{key} was put");
        assert_eq!(store.get(&key, 100).await.unwrap(), Some(before));
        assert_eq!(store.size_of(&key).await.unwrap(), Some(5));
    }
    let blob = Key::Blob(BlobRef::of(b"first").digest);
    for refused in [
        store.create(&blob, b"first").await.map(|_| ()),
        store.replace(&blob, b"first", None).await.map(|_| ()),
        store.put(&blob, b"first").await,
    ] {
        assert!(matches!(refused, Err(StoreError::Unsupported { .. })), "a blob was written without a writer");
    }
    assert!(matches!(store.put(&lease(), b"mine").await, Err(StoreError::Unsupported { .. })));
    assert!(matches!(store.replace(&heartbeat(), b"x", None).await, Err(StoreError::Unsupported { .. })));
}

/// Writers that read, add one and replace never lose an addition.
pub async fn no_replacement_is_lost(backend: &impl Backend) {
    const WRITERS: u32 = 8;
    const EACH: u32 = 10;
    let store = backend.fresh().await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..EACH {
                increment(&store, &lease()).await;
            }
        });
    }
    writers.join_all().await;
    let total = store.get(&lease(), 100).await.unwrap().unwrap().bytes;
    assert_eq!(String::from_utf8(total).unwrap(), (WRITERS * EACH).to_string());
}

/// Adds one to the number in an object, trying until nobody came in between.
pub async fn increment(store: &Store, key: &Key) {
    loop {
        let before = store.get(key, 100).await.unwrap();
        let (number, version) = match before {
            Some(object) => (str::from_utf8(&object.bytes).unwrap().parse::<u32>().unwrap(), Some(object.version)),
            None => (0, None),
        };
        let after = (number + 1).to_string();
        match store.replace(key, after.as_bytes(), version.as_ref()).await.unwrap() {
            Replacement::Replaced(_) => return,
            Replacement::Conflict => {}
        }
    }
}

/// A replacement happens only for whoever knows what is there, or that nothing is.
pub async fn replacing_needs_the_current_version(backend: &impl Backend) {
    let store = backend.fresh().await;
    let key = lease();
    let replace = async |bytes: &[u8], expected: Option<&crate::Version>| match store
        .replace(&key, bytes, expected)
        .await
        .unwrap()
    {
        Replacement::Replaced(version) => Some(version),
        Replacement::Conflict => None,
    };
    let first = replace(b"1", None).await.expect("nothing was there");
    assert_eq!(store.get(&key, 10).await.unwrap().unwrap().version, first);
    assert_eq!(replace(b"x", None).await, None, "something was there");
    let second = replace(b"2", Some(&first)).await.expect("the version is current");
    assert_ne!(first, second);
    assert_eq!(replace(b"x", Some(&first)).await, None, "the version was old");
    assert_eq!(store.get(&key, 10).await.unwrap().unwrap().bytes, b"2");

    let other = backend.fresh().await;
    let missing = other.replace(&key, b"x", Some(&second)).await.unwrap();
    assert_eq!(missing, Replacement::Conflict, "there was nothing to replace");
    assert_eq!(other.get(&key, 10).await.unwrap(), None);
}

/// While writers overwrite an object with long runs of one letter, readers see one letter only.
pub async fn readers_never_see_half_an_object(backend: &impl Backend) {
    let store = backend.fresh().await;
    store.put(&heartbeat(), b"aaaa").await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for letter in *b"abcd" {
        let (store, enough) = (store.clone(), Arc::clone(&enough));
        writers.spawn(async move {
            let mut round = 0_usize;
            while !enough.load(Ordering::Relaxed) {
                round += 1;
                let length = 10_000 * (1 + (round * usize::from(letter)) % 13);
                store.put(&heartbeat(), &vec![letter; length]).await.unwrap();
            }
        });
    }
    let mut seen = BTreeSet::new();
    let mut reads = 0;
    while reads < 200 || seen.len() < 2 {
        reads += 1;
        let bytes = store.get(&heartbeat(), 1 << 20).await.unwrap().expect("it is always there").bytes;
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == bytes[0]), "two writes were mixed");
        seen.insert((bytes[0], bytes.len()));
    }
    enough.store(true, Ordering::Relaxed);
    writers.join_all().await;
}

/// A read gives all bytes of an object or refuses; it never cuts one short.
pub async fn reads_are_limited(backend: &impl Backend) {
    let store = backend.fresh().await;
    for length in [0_usize, 1, 1000] {
        let (key, bytes) = (launch(&length.to_string()), vec![7; length]);
        assert_eq!(store.create(&key, &bytes).await.unwrap(), Creation::Created);
        assert_eq!(store.get(&key, length).await.unwrap().unwrap().bytes, bytes);
        assert_eq!(store.get(&key, usize::MAX).await.unwrap().unwrap().bytes, bytes);
        if length > 0 {
            let refused = store.get(&key, length - 1).await.unwrap_err();
            assert!(matches!(refused, StoreError::TooLarge { size, .. } if size == length as u64), "{refused}");
            assert!(!refused.is_temporary());
        }
    }
}

async fn with_a_few_objects(backend: &impl Backend) -> (Store, Vec<String>) {
    let store = backend.fresh().await;
    let policies = [1, 2, 3, 10].map(Key::TrustPolicy);
    let mut keys: Vec<Key> = policies.into();
    keys.extend([Key::TrustRecord(20), lease(), heartbeat(), claim(1), claim(2), claim(3), launch("x")]);
    if backend.sorts_across_folders() {
        // "trust/000002.json" sorts before "trust/000002/policy.json", though "000002" sorts before "000002.json".
        keys.push(Key::TrustRecord(2));
    }
    let mut names: Vec<String> = keys.iter().map(Key::to_string).collect();
    for key in keys.iter().rev() {
        let Key::JobHeartbeat(_) = key else {
            assert_eq!(store.create(key, key.to_string().as_bytes()).await.unwrap(), Creation::Created);
            continue;
        };
        store.put(key, key.to_string().as_bytes()).await.unwrap();
    }
    names.sort_unstable();
    (store, names)
}

/// Listings are sorted by the keys' bytes, across folders, with sizes, and hold nothing but objects.
pub async fn lists_are_in_key_order(backend: &impl Backend) {
    let (store, names) = with_a_few_objects(backend).await;
    let all = store.list("", None, 1000).await.unwrap();
    let expected = names.iter().map(|key| Listed { key: key.clone(), size: key.len() as u64 });
    assert_eq!(all, expected.collect::<Vec<_>>());
    assert_eq!(all_keys(&store).await, names, "page by page");

    let under = |prefix: &str| names.iter().filter(|key| key.starts_with(prefix)).cloned().collect::<Vec<_>>();
    for prefix in [prefix::TRUST, prefix::JOBS, prefix::ENVIRONMENTS, prefix::BLOBS, "trust/000002/", "nothing/here/"] {
        let listed = store.list(prefix, None, 1000).await.unwrap();
        assert_eq!(listed.into_iter().map(|listed| listed.key).collect::<Vec<_>>(), under(prefix), "{prefix}");
    }
}

/// A listing goes on strictly after the cursor, whether or not an object has that key, and keeps its limit.
pub async fn lists_resume_after_any_key(backend: &impl Backend) {
    let (store, names) = with_a_few_objects(backend).await;
    let mut cursors = names.clone();
    cursors.extend(["!", "jobs/", "trust/000002/", "trust/000002/zzz", "~"].map(str::to_owned));
    if backend.sorts_across_folders() {
        cursors.extend(["jobs", "trust/000002"].map(str::to_owned));
    }
    for prefix in ["", prefix::TRUST, "trust/000002/"] {
        for after in &cursors {
            for limit in [0, 1, 2, 1000] {
                let expected = names.iter().filter(|key| key.starts_with(prefix) && *key > after).take(limit);
                let listed = store.list(prefix, Some(after), limit).await.unwrap();
                let keys: Vec<_> = listed.iter().map(|listed| &listed.key).collect();
                assert_eq!(keys, expected.collect::<Vec<_>>(), "under {prefix:?} after {after:?}, at most {limit}");
            }
        }
    }
}

/// A prefix that could lead elsewhere, or end in the middle of a name, is refused.
pub async fn lists_refuse_what_is_no_prefix(backend: &impl Backend) {
    let store = backend.fresh().await;
    for bad in ["trust", "/", "/etc/", "../", "trust/../", "trust//", "./", "trust/\0/"] {
        let refused = store.list(bad, None, 1).await;
        assert!(matches!(refused, Err(StoreError::Unsupported { .. })), "{bad:?} was listed");
    }
}
