//! `cli-reference`: the command line as Markdown, for docs/cli.md. It reads what clap knows, so it has exactly what `--help` has. (The crate clap-markdown leaves out the variables, its issue 49.)

use clap::{Arg, Command};
use std::fmt::Write;

/// The whole reference of a command line whose root is `root`.
#[must_use]
pub fn markdown(root: &Command) -> String {
    let mut text =
        String::from("<!-- Written by `make gen` from the code. Do not edit. -->\n\n# The command line\n");
    let _ = write!(
        text,
        "\n{}\n\nEvery flag has a variable, for containers and unit files; a flag wins over its variable.\n",
        plain(root.get_about().map(ToString::to_string))
    );
    let listed = root.get_subcommands().filter(|command| !command.is_hide_set());
    for command in listed {
        commands(&mut text, root.get_name(), command);
    }
    text.push_str("\n## Flags of every command\n");
    table(&mut text, root);
    let _ = writeln!(text, "\n{}", root.get_after_help().map(ToString::to_string).unwrap_or_default());
    text
}

/// A command with flags, or those below it.
fn commands(text: &mut String, above: &str, command: &Command) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            commands(text, &name, below);
        }
        return;
    }
    let _ = write!(text, "\n## `{name}`\n\n{}\n", plain(command.get_about().map(ToString::to_string)));
    table(text, command);
}

fn table(text: &mut String, command: &Command) {
    text.push_str("\n| flag | variable | default | what |\n| --- | --- | --- | --- |\n");
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let what = plain(arg.get_help().map(ToString::to_string));
        let _ = writeln!(text, "| `{}` | {variable} | {} | {what}{} |", flag(arg), default(arg), values(arg));
    }
}

/// `--listen <ADDRESS>`, or `<NAME>` for an argument without a flag.
fn flag(arg: &Arg) -> String {
    let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    if !arg.get_action().takes_values() {
        return long;
    }
    let names = arg.get_value_names().unwrap_or_default().iter().map(|name| format!(" <{name}>"));
    // Where there are a few values, their list says more than a name.
    let names: String = if values(arg).is_empty() { names.collect() } else { " …".to_owned() };
    cell(format!("{long}{names}").trim_start())
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return "off".to_owned();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    match values.is_empty() {
        true if arg.is_required_set() => "needed".to_owned(),
        true => String::new(),
        false => format!("`{}`", cell(&values.join(","))),
    }
}

/// The values to choose from, where there are a few.
fn values(arg: &Arg) -> String {
    let values: Vec<_> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if values.is_empty() || !arg.get_action().takes_values() {
        return String::new();
    }
    format!(" One of {}.", values.join(", "))
}

/// A sentence of a help text, with the full stop that clap takes away.
fn plain(help: Option<String>) -> String {
    let help = help.unwrap_or_default();
    let stop = if help.is_empty() || help.ends_with('.') { "" } else { "." };
    cell(&format!("{help}{stop}"))
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn arguments(command: &Command) -> Vec<Arg> {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set()).flat_map(arguments);
        command.get_arguments().cloned().chain(below).collect()
    }

    #[test]
    fn every_flag_says_what_it_is_and_has_a_variable_of_its_name() {
        let root = crate::commands::CommandLine::command();
        for arg in arguments(&root).into_iter().filter(|arg| !arg.is_positional()) {
            let long = arg.get_long().unwrap_or_else(|| panic!("{} has no long name", arg.get_id()));
            assert!(arg.get_help().is_some(), "--{long} says nothing");
            let variable = arg.get_env().unwrap_or_else(|| panic!("--{long} has no variable"));
            let variable = variable.to_string_lossy();
            let named = long.to_uppercase().replace('-', "_");
            assert!(
                variable.starts_with("DOORBUSTER_") && variable.ends_with(&named),
                "--{long} and {variable}"
            );
        }
    }

    #[test]
    fn the_reference_names_every_command_flag_variable_and_default() {
        let text = markdown(&crate::commands::CommandLine::command());
        for part in [
            "## `doorbuster serve`",
            "## `doorbuster admin create`",
            "| `--listen <ADDRESS>` | `DOORBUSTER_LISTEN` | `127.0.0.1:8080` |",
            "| `--demo` | `DOORBUSTER_DEMO` | off |",
            "One of `on`, `off`.",
            "--log-format",
            "Exit codes",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("cli-reference"), "a hidden command is not listed");
    }
}
