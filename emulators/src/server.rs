//! A server's process: started on free ports, waited for, and ended by its own id.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tools::tail;

/// Until a server answers, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that lives as long as this value, and no longer than this process.
#[derive(Debug)]
pub(crate) struct Server {
    shell: Child,
    /// The shell kills the server when this ends, which it does with this process, however that ends.
    _leash: ChildStdin,
}

impl Server {
    /// Starts a program in `home`, which also gets its log.
    pub(crate) fn start(program: &Path, arguments: &[String], environment: &[(&str, &str)], home: &Path) -> Self {
        let log = File::create(home.join("log")).unwrap();
        let script = "\"$@\" </dev/null & server=$!; read -r _; kill -9 $server";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(program).args(arguments).current_dir(home);
        command.envs(environment.iter().copied()).stdin(Stdio::piped());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut shell = command.spawn().expect("there is a shell");
        let leash = shell.stdin.take().expect("it was asked for");
        Self { shell, _leash: leash }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A line ends the shell's waiting as well as the end of its input, which comes only after this.
        let _ = self._leash.write_all(b"\n");
        let _ = self.shell.wait();
    }
}

/// So many ports that were free just now. Those 10,000 above them were free, too: some servers take them as well.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    let ports = std::array::from_fn(|_| {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            held.push(listener);
            if let Some(above) = port.checked_add(10_000)
                && let Ok(listener) = TcpListener::bind(("127.0.0.1", above))
            {
                held.push(listener);
                return port;
            }
        }
    });
    drop(held);
    ports
}

/// Waits until a request is answered with one of these statuses.
///
/// # Panics
/// When that takes too long; with the end of the server's log.
pub(crate) fn wait_for_answer(port: u16, request: &str, statuses: &[&str], home: &Path) {
    let begun = Instant::now();
    loop {
        let answer = ask(port, request).unwrap_or_default();
        if statuses.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}"))) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no good answer to {request:?}: {answer:?}\n{}", tail(&home.join("log")));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "{request} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
