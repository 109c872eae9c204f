//! Processes that run while the cluster is disturbed.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::exit_table::{ExitRule, ExitTable, ProcessEnd};
use super::support::{STEP_TIMEOUT, TestEnv};

/// Time limit from Ctrl-C to the end. A process may have to wait for a broker, for at most 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// Pause between two runs of a repeated command, to leave time for other processes.
const PAUSE: Duration = Duration::from_secs(1);

/// A process that runs until it is stopped.
struct Process {
    name: String,
    started: Started,
    rule: ExitRule,
}

/// Arguments and end of each run, and whether it ended before it was stopped.
type Runs = Arc<Mutex<Vec<(String, ProcessEnd, bool)>>>;

/// Commands that are run repeatedly.
struct Repeated {
    name: String,
    runs: Runs,
    thread: JoinHandle<()>,
}

/// The processes of a case; killed when dropped.
pub struct Processes<'env> {
    env: &'env TestEnv,
    begun: Instant,
    rule: ExitRule,
    disturbances: Mutex<Vec<(Instant, String)>>,
    running: Vec<Process>,
    repeated: Vec<Repeated>,
    stopping: Arc<AtomicBool>,
}

impl<'env> Processes<'env> {
    pub fn new(env: &'env TestEnv, rule: ExitRule) -> Self {
        Self {
            env,
            begun: Instant::now(),
            rule,
            disturbances: Mutex::default(),
            running: Vec::new(),
            repeated: Vec::new(),
            stopping: Arc::default(),
        }
    }

    pub fn env(&self) -> &TestEnv {
        self.env
    }

    /// The environment with new clients, which have no cached metadata.
    pub fn fresh_env(&self) -> TestEnv {
        self.env.named(&self.env.prefix)
    }

    /// Starts a process; its name is its command line.
    pub fn start(&mut self, args: &str) {
        self.start_with(args, self.rule);
    }

    /// Starts a process with its own exit rule.
    pub fn start_with(&mut self, args: &str, rule: ExitRule) {
        let started = Started::of(&mut self.env.command(args));
        self.running.push(Process { name: args.to_owned(), started, rule });
    }

    /// Runs commands in turn until the processes are stopped.
    pub fn repeat(&mut self, name: &str, args: &[&str]) {
        let commands = args.iter().map(|args| ((*args).to_owned(), self.env.command(args))).collect();
        self.repeat_with(name, commands, |started, _| (started.wait(STEP_TIMEOUT), false));
    }

    /// The same in another environment.
    pub fn repeat_in_env(&mut self, env: TestEnv, name: &str, args: &[&str]) {
        let commands = args.iter().map(|args| ((*args).to_owned(), env.command(args))).collect();
        // Keeps the directory of the environment as long as its commands run.
        self.repeat_with(name, commands, move |started, _| {
            let _folder = env.dir();
            (started.wait(STEP_TIMEOUT), false)
        });
    }

    /// Repeatedly starts a live command and stops it after `life`.
    pub fn repeat_live(&mut self, args: &str, life: Duration) {
        let command = vec![(args.to_owned(), self.env.command(args))];
        self.repeat_with(args, command, move |started, stopping| {
            let start = Instant::now();
            while start.elapsed() < life && !stopping.load(Ordering::Relaxed) && started.end.get().is_none() {
                std::thread::sleep(Duration::from_millis(50));
            }
            let by_itself = started.end.get().is_some();
            started.signal(Signal::INT);
            (started.wait(STOP_TIMEOUT), by_itself)
        });
    }

    fn repeat_with(
        &mut self,
        name: &str,
        mut commands: Vec<(String, Command)>,
        run: impl Fn(&Started, &AtomicBool) -> (ProcessEnd, bool) + Send + 'static,
    ) {
        let runs = Runs::default();
        let (kept, stopping) = (Arc::clone(&runs), Arc::clone(&self.stopping));
        let thread = std::thread::spawn(move || {
            let count = commands.len();
            for index in (0..count).cycle() {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let (args, command) = &mut commands[index];
                let (end, by_itself) = run(&Started::of(command), &stopping);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push((args.clone(), end, by_itself));
                std::thread::sleep(PAUSE);
            }
        });
        self.repeated.push(Repeated { name: name.to_owned(), runs, thread });
    }

    /// Disturbs the cluster, and records it for the table.
    pub fn disturb<T>(&self, what: &str, act: impl FnOnce() -> T) -> T {
        self.disturbances.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), what.to_owned()));
        act()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Started> {
        self.running.iter().filter(move |process| process.name.starts_with(name)).map(|process| &process.started)
    }

    /// Whether a process whose name has this prefix still runs.
    pub fn runs(&self, name: &str) -> bool {
        self.named(name).any(|started| started.end.get().is_none())
    }

    /// Sends a signal to the processes whose names have this prefix.
    pub fn signal(&self, name: &str, signal: Signal) {
        self.named(name).for_each(|started| started.signal(signal));
    }

    /// Waits for the end of the processes whose names have this prefix. Those that still run after the limit are
    /// stopped later.
    pub fn until_ended(&self, name: &str, bound: Duration) {
        let start = Instant::now();
        while self.runs(name) && start.elapsed() < bound {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops everything with Ctrl-C and waits for all ends.
    pub fn finish(&mut self) -> ExitTable {
        self.stopping.store(true, Ordering::Relaxed);
        let disturbances = std::mem::take(&mut *self.disturbances.lock().unwrap_or_else(PoisonError::into_inner));
        let mut table = ExitTable::new(self.begun, disturbances);
        for repeated in std::mem::take(&mut self.repeated) {
            repeated.thread.join().expect("the thread does not panic");
            let runs = std::mem::take(&mut *repeated.runs.lock().unwrap_or_else(PoisonError::into_inner));
            table.add_runs(&repeated.name, runs, self.rule);
        }
        let by_themselves: Vec<bool> = self.running.iter().map(|process| process.started.end.get().is_some()).collect();
        self.signal("", Signal::INT);
        for (process, by_itself) in std::mem::take(&mut self.running).into_iter().zip(by_themselves) {
            table.add(&process.name, process.started.wait(STOP_TIMEOUT), by_itself, process.rule);
        }
        table
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.signal("", Signal::KILL);
    }
}

struct Started {
    pid: Pid,
    /// Set by the thread that waits for the process.
    end: Arc<OnceLock<ProcessEnd>>,
}

impl Started {
    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        let end = Arc::new(OnceLock::new());
        let kept = Arc::clone(&end);
        std::thread::spawn(move || {
            let status = child.wait().expect("waited for");
            let at = Instant::now();
            let (stdout, stderr) = (stdout.join().expect("read"), stderr.join().expect("read"));
            kept.set(ProcessEnd { at, code: status.code(), hung: false, stdout, stderr }).expect("set once");
        });
        Self { pid, end }
    }

    fn signal(&self, signal: Signal) {
        if self.end.get().is_none() {
            // The process may end at this moment.
            kill_process(self.pid, signal).ok();
        }
    }

    /// Waits for the end; kills the process after the limit.
    fn wait(&self, bound: Duration) -> ProcessEnd {
        let start = Instant::now();
        let mut hung = false;
        loop {
            if let Some(end) = self.end.get() {
                return ProcessEnd { hung, ..end.clone() };
            }
            if start.elapsed() > bound && !hung {
                hung = true;
                self.signal(Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
