//! launch-deploy-job, get-deploy-job-status and cancel-deploy-job: the only interface of production.
