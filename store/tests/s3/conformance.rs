//! What all stores promise.

use emulators::{Moto, SeaweedFs};
use store::conformance;

use crate::bench::{Buckets, in_environment};

/// SeaweedFS lists as it walks its folders.
#[test]
fn a_bucket_conforms() {
    in_environment("conformance::a_bucket_conforms", async {
        let server = SeaweedFs::start();
        conformance::run(&Buckets::new(server.endpoint(), false, || server.bucket()).await).await;
    });
}

/// moto isn't exact under races, but sorts as S3 does.
#[test]
fn a_bucket_of_another_server_conforms() {
    in_environment("conformance::a_bucket_of_another_server_conforms", async {
        let server = Moto::start();
        let buckets = Buckets::new(server.endpoint(), true, || server.bucket()).await;
        conformance::created_objects_never_change(&buckets).await;
        conformance::replacing_needs_the_current_version(&buckets).await;
        conformance::reads_are_limited(&buckets).await;
        conformance::lists_are_in_key_order(&buckets).await;
        conformance::lists_resume_after_any_key(&buckets).await;
        conformance::blobs_come_back_verified(&buckets).await;
        conformance::a_blob_is_read_from_its_source_once_at_most(&buckets).await;
        conformance::wrong_sources_leave_nothing(&buckets).await;
        conformance::tampered_blobs_never_count(&buckets).await;
        conformance::missing_blobs_are_missing(&buckets).await;
    });
}
