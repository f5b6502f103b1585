//! Runs a program until the test ends it or ends itself, however that happens. It never knows what the program is for.

use crate::wait::{HANG_LIMIT, eventually_blocking};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Runs the program with its output in the folder's `log`. When the pipe from the test closes, also because the test was killed, it
/// ends the program and removes the folder. The program's own input stays open until then: some programs end with it.
const SCRIPT: &str = r#"
folder=$1; end=$2; shift 2
[ -p "$folder/input" ] || mkfifo "$folder/input"
exec 3<>"$folder/input"
"$@" <"$folder/input" 3>&- >>"$folder/log" 2>&1 &
program=$!
echo "$program"
read -r word || word=gone
if [ "$word" = gone ]; then
    kill -"$end" "$program" 2>/dev/null
    kill -CONT "$program" 2>/dev/null
fi
wait "$program"
code=$?
# Without the test nothing reads the code.
if [ "$word" = keep ]; then echo "$code"; else rm -rf "$folder"; fi
"#;

/// A running program. It ends when this is dropped, or with this process.
pub struct ProcessGuard {
    shell: Child,
    pipe: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    program: Pid,
}

/// Processes that are stopped until this is dropped.
pub struct FrozenProcesses {
    processes: Vec<Pid>,
}

impl ProcessGuard {
    /// Starts a program. `end` (such as `KILL`) is the signal that ends it; its folder is removed afterwards.
    #[must_use]
    pub fn start(program: &Command, folder: &Path, end: &str) -> Self {
        Self::start_as(program, folder, end, |shell| shell)
    }

    /// The same as another user, whom `user` sets: a command does not show its user.
    pub(crate) fn start_as(
        program: &Command,
        folder: &Path,
        end: &str,
        user: impl FnOnce(Command) -> Command,
    ) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(folder).arg(end).args(command_words(program));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(there) = program.get_current_dir() {
            shell.current_dir(there);
        }
        let mut shell = user(shell);
        // Ctrl-C in a terminal goes to the test's whole process group, and only the test decides when its programs end.
        shell.process_group(0);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let program = Pid::from_raw(read_number(&mut output)).unwrap();
        Self { pipe: shell.stdin.take(), shell, output, program }
    }

    #[must_use]
    pub fn id(&self) -> Pid {
        self.program
    }

    /// Sends a signal; does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        let _ended = kill_process(self.program, signal);
    }

    /// True once it has ended by itself, or of a signal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        has_process_ended(self.program)
    }

    /// Waits for its end, keeps its folder, and returns the exit code: 128 and more if a signal ended it.
    pub fn wait(mut self) -> i32 {
        drop(self.pipe.take().map(|mut pipe| pipe.write_all(b"keep\n")));
        let code = read_number(&mut self.output);
        self.shell.wait().unwrap();
        code
    }

    /// `kill -9` to it and its children; returns when all have ended, so that none of them listens any more. Its folder stays.
    pub fn kill(self) {
        // Stopped first, so that none starts another in between.
        for process in self.processes() {
            let _ended = kill_process(process, Signal::STOP);
        }
        let processes = self.processes();
        for process in &processes {
            let _ended = kill_process(*process, Signal::KILL);
        }
        self.wait();
        // The shell waits for the program only: a child of it may still be ending.
        eventually_blocking("killed processes end", HANG_LIMIT, || {
            processes.iter().all(|process| has_process_ended(*process))
        });
    }

    /// Stops it and its children until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        let processes = self.processes();
        for process in &processes {
            let _ended = kill_process(*process, Signal::STOP);
        }
        FrozenProcesses { processes }
    }

    /// It and its children.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let mut processes = vec![self.program];
        processes.extend(child_processes(self.program));
        processes
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _reaped = self.shell.wait();
    }
}

impl Drop for FrozenProcesses {
    fn drop(&mut self) {
        for process in &self.processes {
            let _ended = kill_process(*process, Signal::CONT);
        }
    }
}

fn has_process_ended(process: Pid) -> bool {
    // An ended process is a zombie until its parent waits for it.
    process_state(process).is_none_or(|state| state == "Z")
}

/// A process's children, from Linux's `/proc`.
pub(crate) fn child_processes(parent: Pid) -> Vec<Pid> {
    let wanted = parent.as_raw_nonzero().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| {
            let pid: i32 = process.file_name().to_str()?.parse().ok()?;
            let pid = Pid::from_raw(pid)?;
            (read_stat(pid)?.split_whitespace().nth(1)? == wanted).then_some(pid)
        })
        .collect()
}

/// Linux's letter for the state of a process; `None` without such a process.
fn process_state(process: Pid) -> Option<String> {
    read_stat(process)?.split_whitespace().next().map(ToOwned::to_owned)
}

/// `/proc/PID/stat` from the state on: state, parent and more.
fn read_stat(process: Pid) -> Option<String> {
    let path = Path::new("/proc").join(process.as_raw_nonzero().to_string()).join("stat");
    // The name is in brackets and may hold any character.
    Some(std::fs::read_to_string(path).ok()?.rsplit_once(')')?.1.to_owned())
}

fn command_words(command: &Command) -> Vec<OsString> {
    std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect()
}

fn read_number(output: &mut impl std::io::BufRead) -> i32 {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().parse().unwrap_or_else(|_| panic!("the shell wrote {line:?} instead of a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{HANG_LIMIT, eventually_blocking};

    fn run(script: &str, folder: &Path) -> ProcessGuard {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ProcessGuard::start(&command, folder, "KILL")
    }

    #[test]
    fn a_program_ends_with_its_guard_also_when_it_is_frozen() {
        let folder = tempfile::tempdir().unwrap();
        let program = run("read -r word", folder.path());
        let id = program.id();
        assert!(!program.has_ended(), "its input does not end");
        let frozen = program.freeze();
        eventually_blocking("it is stopped", HANG_LIMIT, || {
            process_state(id).is_some_and(|state| state == "T")
        });
        drop(program);
        assert_eq!(process_state(id), None);
        assert!(!folder.path().exists());
        drop(frozen);
    }

    #[test]
    fn output_and_exit_code_are_kept_and_the_folder_stays() {
        let folder = tempfile::tempdir().unwrap();
        let program = run("echo done; exit 7", folder.path());
        eventually_blocking("it ends", HANG_LIMIT, || program.has_ended());
        assert_eq!(program.wait(), 7);
        assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "done\n");
        let program = run("sleep 1000 & wait", folder.path());
        let id = program.id();
        eventually_blocking("it has started another", HANG_LIMIT, || !child_processes(id).is_empty());
        let child = child_processes(id)[0];
        program.kill();
        eventually_blocking("both are gone", HANG_LIMIT, || {
            process_state(id).is_none() && process_state(child).is_none_or(|state| state == "Z")
        });
        assert!(folder.path().exists());
    }
}
