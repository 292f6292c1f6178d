//! One run of Terraform: started on a leash, listened to, interrupted once when the job is to stop.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use manifest_schema::job::Happening;
use manifest_schema::{Code, Reason};
use records::config::WorkerRole;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::Terraform;
use super::credentials::Access;
use super::redaction::Redaction;
use super::stream::{Line, read_line};
use crate::session::Session;
use crate::stop::{Asked, Stop};

/// Progress goes out at most this often.
const BATCH: Duration = Duration::from_secs(1);
/// Most bytes that are kept of what Terraform prints at once (`show -json`).
const MOST_OUTPUT: u64 = 256 << 20;
/// Most bytes of one line of Terraform's JSON stream.
const MOST_LINE: u64 = 1 << 20;
/// How long before the worker is killed Terraform is interrupted for the second time.
const GIVES_UP: Duration = Duration::from_secs(25);
/// How many of the last lines that a failed `init` printed are passed on.
const LAST_LINES: usize = 20;
/// Most lines of one progress event, and most characters of one of its lines.
const MOST_LINES: usize = 100;
const LONGEST_LINE: usize = 500;

impl Terraform<'_> {
    /// Runs one command in the root module. With `-json` its stream becomes progress events; otherwise what it prints
    /// is returned.
    pub(super) async fn run(&self, name: &str, arguments: &[&str]) -> Result<Vec<u8>, Stop> {
        self.session.may_go_on()?;
        let mut child = Command::new(&self.leash)
            .arg(std::process::id().to_string())
            .arg(memory(self.session).map_or_else(|| "unlimited".to_owned(), |memory| memory.to_string()))
            .arg(&self.program)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .envs(self.aws.iter().flat_map(Access::environment))
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: a Ctrl-C meant for somebody else doesn't reach it, the worker's interrupt does.
            .process_group(0)
            .spawn()
            .map_err(|error| Stop::failed(format!("can't start {}: {error}", self.program.display())))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let streams = arguments.contains(&"-json") && name != "show";
        let mut heard = Heard::new(self.session, &self.redaction);
        let listening = async {
            let out = async {
                match stdout {
                    Some(stdout) if streams => heard.listen(stdout).await.map(|()| Vec::new()),
                    Some(stdout) => read_all(stdout).await,
                    None => Ok(Vec::new()),
                }
            };
            let err = async {
                match stderr {
                    Some(stderr) => read_all(stderr).await,
                    None => Ok(Vec::new()),
                }
            };
            tokio::join!(out, err)
        };
        let (output, errors, status) = interruptible(self.session, &mut child, listening).await?;
        heard.pass_on().await;
        if let Some(stop) = heard.broken.take() {
            return Err(stop);
        }
        if status.success() {
            return output;
        }
        // A command that was interrupted failed because of that.
        self.session.may_go_on()?;
        let printed = String::from_utf8_lossy(&errors.unwrap_or_default()).into_owned();
        let printed = self.redaction.clean(&printed);
        if name == "init" {
            // It has seen no state and no variable yet: nothing in it is secret, and it is long.
            heard.lines.extend(last_lines(&printed));
            heard.pass_on().await;
        }
        Err(Stop::Failed(heard.failure(name, status, &printed)))
    }
}

/// The limit on each process's memory, in MiB. An apply has none: it must not end for want of memory.
fn memory(session: &Session) -> Option<u64> {
    match session.config().role {
        WorkerRole::Planner => Some(session.config().terraform_memory),
        WorkerRole::Deployer => None,
    }
}

type Output = Result<Vec<u8>, Stop>;

/// Waits for the child; interrupts it once when the job is to stop, and goes on waiting: Terraform saves its state. Only
/// before the worker itself is killed it is interrupted again: Terraform then gives up what it waits for, and still saves
/// its state; if it were killed with the worker, it could not.
async fn interruptible(
    session: &Session,
    child: &mut Child,
    listening: impl Future<Output = (Output, Output)>,
) -> Result<(Output, Output, ExitStatus), Stop> {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    let mut stop = session.stop_signal();
    let interrupt = async {
        let asked = stop.wait().await;
        tracing::info!(?asked, "interrupting Terraform");
        send_interrupt(pid);
        stop.wait_until(GIVES_UP).await;
        tracing::warn!("interrupting Terraform again: this worker is about to be killed");
        send_interrupt(pid);
        std::future::pending::<std::convert::Infallible>().await
    };
    let ending = async {
        let status = child.wait().await;
        end_group(pid);
        status
    };
    let waiting = async {
        let ((output, errors), status) = tokio::join!(listening, ending);
        (output, errors, status)
    };
    let (output, errors, status) = tokio::select! {
        ended = waiting => ended,
        never = interrupt => match never {},
    };
    let status = status.map_err(|error| Stop::failed(format!("Terraform's end can't be learnt: {error}")))?;
    Ok((output, errors, status))
}

fn send_interrupt(pid: Option<Pid>) {
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, Signal::INT)
    {
        tracing::warn!(%error, "Terraform could not be interrupted");
    }
}

/// Ends what Terraform left running, such as a provider that went to the background: it would keep the work directory's
/// lock, and maybe the stream that is being read.
fn end_group(leader: Option<Pid>) {
    match leader.map(|leader| kill_process_group(leader, Signal::KILL)) {
        Some(Ok(())) => tracing::debug!("what Terraform left was killed"),
        // Usually there is nobody left.
        Some(Err(Errno::SRCH)) | None => {}
        Some(Err(error)) => tracing::warn!(%error, "what Terraform may have left running could not be killed"),
    }
}

async fn read_all(stream: impl AsyncRead + Unpin) -> Output {
    let mut bytes = Vec::new();
    let read = stream.take(MOST_OUTPUT).read_to_end(&mut bytes).await;
    read.map_err(|error| Stop::failed(format!("can't read what Terraform prints: {error}")))?;
    if bytes.len() as u64 >= MOST_OUTPUT {
        return Err(Stop::failed(format!("Terraform printed more than {MOST_OUTPUT} bytes")));
    }
    Ok(bytes)
}

/// What Terraform has said so far, and what of it is still to be passed on.
struct Heard<'a> {
    session: &'a Session,
    redaction: &'a Redaction,
    lines: Vec<String>,
    flushed: Instant,
    errors: Vec<String>,
    warnings: Vec<String>,
    stale: bool,
    broken: Option<Stop>,
}

impl<'a> Heard<'a> {
    fn new(session: &'a Session, redaction: &'a Redaction) -> Self {
        let (lines, errors, warnings, flushed) = (Vec::new(), Vec::new(), Vec::new(), Instant::now());
        Self { session, redaction, lines, flushed, errors, warnings, stale: false, broken: None }
    }

    /// Listens to the end of the stream, whatever happens: a Terraform whose output nobody reads any more would die of it
    /// (SIGPIPE), and with it the state of what it was doing. If an event can't be written, Terraform is interrupted and
    /// heard out.
    async fn listen(&mut self, stream: impl AsyncRead + Unpin) -> Result<(), Stop> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut bytes = Vec::new();
            let due = self.flushed + BATCH;
            let read = {
                let mut limited = (&mut stream).take(MOST_LINE);
                let reading = limited.read_until(b'\n', &mut bytes);
                tokio::pin!(reading);
                loop {
                    tokio::select! {
                        read = &mut reading => break read,
                        () = tokio::time::sleep_until(due), if !self.lines.is_empty() => self.pass_on().await,
                    }
                }
            };
            if read.map_err(|error| Stop::failed(format!("can't read what Terraform prints: {error}")))? == 0 {
                return Ok(());
            }
            match read_line(&bytes) {
                Some(Line::Progress(line)) => self.lines.push(clip(&self.redaction.clean(&line))),
                Some(Line::Error { summary, detail }) => {
                    self.stale |= summary.contains("Saved plan is stale");
                    let line = if detail.is_empty() { summary } else { format!("{summary}: {detail}") };
                    let line = self.redaction.clean(&line);
                    self.lines.push(clip(&format!("error: {line}")));
                    self.errors.push(clip(&line));
                }
                Some(Line::Condition { ends, summary, place }) => self.condition(ends, &summary, &place),
                None => {}
            }
            if self.lines.len() >= MOST_LINES || Instant::now() >= due {
                self.pass_on().await;
            }
        }
    }

    /// Of conditions of one kind that don't hold while Terraform plans, however many, one line is told. An apply is of a
    /// plan that was approved, and says which.
    fn condition(&mut self, ends: bool, summary: &str, place: &str) {
        let told = match self.session.config().role {
            WorkerRole::Planner => format!("{summary}; which one, and why, stays in production"),
            WorkerRole::Deployer => format!("{summary}{place}; why stays in production"),
        };
        let (list, line) = match ends {
            true => (&mut self.errors, format!("error: {told}")),
            false => (&mut self.warnings, format!("warning: {told}")),
        };
        if !list.contains(&told) {
            list.push(told);
            self.lines.push(line);
        }
    }

    /// Writes the lines that have come together. The first failure is kept, and ends the run.
    async fn pass_on(&mut self) {
        self.flushed = Instant::now();
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() || self.broken.is_some() {
            return;
        }
        if let Err(stop) = self.session.say(Happening::Progress { lines }).await {
            self.session.ask(Asked::Unheard);
            self.broken = Some(stop);
        }
    }

    /// Why it failed, from its own errors, or else from what it printed.
    fn failure(&self, name: &str, status: ExitStatus, printed: &str) -> Reason {
        let code = if self.stale { Code::PlanStale } else { Code::TerraformFailed };
        // Go's words, of Terraform itself, or of a provider that it tells of.
        let is_starved = |text: &str| text.contains("out of memory") || text.contains("cannot allocate memory");
        if let Some(memory) =
            memory(self.session).filter(|_| is_starved(printed) || self.errors.iter().any(|e| is_starved(e)))
        {
            let message = format!(
                "terraform {name}: a process of it needed more than {memory} MiB: raise terraformMemory in the planner's \
                 configuration, and the memory of its task"
            );
            return Reason::new(code, message);
        }
        let said = if self.errors.is_empty() {
            clip(&bare_lines(printed).collect::<Vec<_>>().join(" "))
        } else {
            clip(&self.errors.join("; "))
        };
        // A code says nothing that its words don't; a signal does: out of memory, for one.
        let said = match status.signal() {
            Some(_) if said.is_empty() => format!("it ended with {status}"),
            Some(_) => format!("it ended with {status}: {said}"),
            None if said.is_empty() => format!("it ended with {status}"),
            None => said,
        };
        Reason::new(code, format!("terraform {name}: {said}"))
    }
}

/// What was printed, without frames and empty lines.
fn bare_lines(printed: &str) -> impl Iterator<Item = &str> {
    printed.lines().map(|line| line.trim_matches(['│', '╷', '╵', ' '])).filter(|line| !line.is_empty())
}

/// The last lines that were printed.
fn last_lines(printed: &str) -> Vec<String> {
    let lines: Vec<&str> = bare_lines(printed).collect();
    lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).map(|line| clip(line)).collect()
}

/// One line for people, of bounded length, without control characters.
fn clip(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut clipped: String = one_line.take(LONGEST_LINE).collect();
    if text.chars().count() > LONGEST_LINE {
        clipped.push('…');
    }
    clipped
}
