//! moto: a second opinion about S3, STS accounts, Parameter Store and Secrets Manager, tokens of ECR, and alarms of
//! CloudWatch. It accepts wrong checksums and any caller.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::credentials;
use crate::server::{Server, free_ports, wait_for_answer};
use crate::tools::tool;

/// A moto server.
pub struct Moto {
    _server: Server,
    _home: TempDir,
    port: u16,
    buckets: AtomicU32,
}

impl Moto {
    /// Starts one; it knows nothing yet.
    pub fn start() -> Self {
        let home = TempDir::new().unwrap();
        let [port] = free_ports();
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let server = Server::start(&tool("moto_server"), &arguments, &[], home.path());
        wait_for_answer(port, "GET /moto-api/", &["200"], home.path());
        Self { _server: server, _home: home, port, buckets: AtomicU32::new(0) }
    }

    /// Its address, for every service.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty bucket; gives its name.
    pub fn bucket(&self) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        wait_for_answer(self.port, &format!("PUT /{name}"), &["200"], self._home.path());
        name
    }

    /// Gives Parameter Store an encrypted parameter, or another value to one that it has.
    pub fn parameter(&self, name: &str, value: &str) {
        self.boto("ssm", "put_parameter(Name=name, Value=value, Type='SecureString', Overwrite=True)", name, value);
    }

    /// Gives Secrets Manager a secret.
    pub fn secret(&self, name: &str, value: &str) {
        self.boto("secretsmanager", "create_secret(Name=name, SecretString=value)", name, value);
    }

    /// Gives CloudWatch a metric alarm, which is OK.
    pub fn alarm(&self, name: &str) {
        let put = "put_metric_alarm(AlarmName=name, MetricName=value, Namespace='Own', Period=60, EvaluationPeriods=1, \
                   ComparisonOperator='GreaterThanThreshold', Statistic='Sum', Threshold=1.0)";
        self.boto("cloudwatch", put, name, "Errors");
        self.boto("cloudwatch", "set_alarm_state(AlarmName=name, StateValue='OK', StateReason=value)", name, "quiet");
    }

    fn boto(&self, service: &str, call: &str, name: &str, value: &str) {
        let script = format!(
            "import boto3, sys\nname, value = sys.argv[2:]\nboto3.client('{service}', endpoint_url=sys.argv[1]).{call}"
        );
        let mut command = Command::new(tool("python3"));
        command.args(["-c", &script, &self.endpoint(), name, value]).envs(credentials());
        let status = command.env("AWS_DEFAULT_REGION", crate::REGION).status().unwrap();
        assert!(status.success(), "moto doesn't take {name}");
    }
}
