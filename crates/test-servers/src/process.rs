//! Runs a program for as long as the test wants it, and not longer, however the test ends. It knows nothing of what the program
//! is for.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Runs the program with its words in the folder's `log`. When the pipe from the test is closed (also by the end of a test that
/// was killed) it ends the program and removes the folder. The program's own input never ends before that: some end with it.
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
# Where the test is gone nobody listens.
if [ "$word" = keep ]; then echo "$code"; else rm -rf "$folder"; fi
"#;

/// A program that runs. It ends with this, or with the process.
pub struct ProcessGuard {
    shell: Child,
    pipe: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    program: Pid,
}

/// Processes that do nothing, until this is dropped.
pub struct FrozenProcesses {
    processes: Vec<Pid>,
}

impl ProcessGuard {
    /// Starts a program. Its folder is thrown away with it, and `end` (such as `KILL`) is how it is told that it is over.
    #[must_use]
    pub fn start(program: &Command, folder: &Path, end: &str) -> Self {
        Self::start_as(program, folder, end, |shell| shell)
    }

    /// The same, as another user perhaps: what a command tells of itself does not say as whom it runs.
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
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap());
        let program = Pid::from_raw(read_number(&mut said)).unwrap();
        Self { pipe: shell.stdin.take(), shell, output: said, program }
    }

    #[must_use]
    pub fn id(&self) -> Pid {
        self.program
    }

    /// Sends it a signal; one that has ended does not mind.
    pub fn signal(&self, signal: Signal) {
        let _gone = kill_process(self.program, signal);
    }

    /// True once it has ended by itself, or of a signal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // What has ended is there as a zombie until its shell has looked.
        process_state(self.program).is_none_or(|state| state == "Z")
    }

    /// Waits until it has ended and leaves its folder: the exit code, which is 128 and more if a signal ended it.
    pub fn wait(mut self) -> i32 {
        drop(self.pipe.take().map(|mut pipe| pipe.write_all(b"keep\n")));
        let code = read_number(&mut self.output);
        self.shell.wait().unwrap();
        code
    }

    /// `kill -9` to it and to those that it has started. Its folder stays.
    pub fn kill(self) {
        // Stopped first, so that none starts another while they are ended.
        for process in self.processes() {
            let _gone = kill_process(process, Signal::STOP);
        }
        for process in self.processes() {
            let _gone = kill_process(process, Signal::KILL);
        }
        self.wait();
    }

    /// Stops all of its processes where they are, as a machine does that has no time for them.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        let processes = self.processes();
        for process in &processes {
            let _gone = kill_process(*process, Signal::STOP);
        }
        FrozenProcesses { processes }
    }

    /// It, and those that it has started.
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
            let _gone = kill_process(*process, Signal::CONT);
        }
    }
}

/// The processes that a process has started, as Linux tells them.
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

/// What a process is doing, in Linux's letter for it; nothing if there is none.
fn process_state(process: Pid) -> Option<String> {
    read_stat(process)?.split_whitespace().next().map(ToOwned::to_owned)
}

/// What Linux tells of a process: its state, its parent, and more.
fn read_stat(process: Pid) -> Option<String> {
    let path = Path::new("/proc").join(process.as_raw_nonzero().to_string()).join("stat");
    // The name stands in brackets and may hold anything.
    Some(std::fs::read_to_string(path).ok()?.rsplit_once(')')?.1.to_owned())
}

/// A command of another program, for the arguments of a shell.
fn command_words(command: &Command) -> Vec<OsString> {
    std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect()
}

fn read_number(said: &mut impl std::io::BufRead) -> i32 {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    line.trim().parse().unwrap_or_else(|_| panic!("the shell said {line:?}, and no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, folder: &Path) -> ProcessGuard {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ProcessGuard::start(&command, folder, "KILL")
    }

    fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if condition() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what}: not after ten seconds");
    }

    #[test]
    fn a_program_ends_with_its_handle_also_when_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = run("read -r word", folder.path());
        let program = keeper.id();
        assert!(!keeper.has_ended(), "its input does not end");
        let frozen = keeper.freeze();
        until("it stands still", || process_state(program).is_some_and(|state| state == "T"));
        drop(keeper);
        assert_eq!(process_state(program), None);
        assert!(!folder.path().exists());
        drop(frozen);
    }

    #[test]
    fn what_it_says_and_how_it_ends_is_told_and_its_folder_stays() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = run("echo done; exit 7", folder.path());
        until("it ends", || keeper.has_ended());
        assert_eq!(keeper.wait(), 7);
        assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "done\n");
        let keeper = run("sleep 1000 & wait", folder.path());
        let program = keeper.id();
        until("it has started another", || !child_processes(program).is_empty());
        let child = child_processes(program)[0];
        keeper.kill();
        until("both are gone", || {
            process_state(program).is_none() && process_state(child).is_none_or(|state| state == "Z")
        });
        assert!(folder.path().exists());
    }
}
