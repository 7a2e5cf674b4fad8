//! The login session: whether a host survives its end.

use std::fs;
use std::path::Path;

use super::Check;

const AREA: &str = "session";

pub fn checks() -> Vec<Check> {
    if !Path::new("/run/systemd/system").exists() {
        return vec![Check::ok(AREA, "logout", "No systemd: the host goes on when you log out.")];
    }
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let lingers = !user.is_empty() && Path::new("/var/lib/systemd/linger").join(&user).exists();
    vec![logout(kill_user_processes(Path::new("/etc/systemd")), lingers, &user)]
}

fn logout(kills: bool, lingers: bool, user: &str) -> Check {
    match (kills, lingers) {
        (_, true) => Check::ok(AREA, "logout", "systemd keeps your processes (linger): the host goes on when you log out."),
        (false, false) => Check::ok(AREA, "logout", "systemd leaves processes alone at logout: the host goes on."),
        (true, false) => Check::problem(
            AREA,
            "logout",
            "systemd ends all processes when you log out (KillUserProcesses=yes): what runs then stops.",
            format!("Run `loginctl enable-linger {user}` once; or run `arbour serve` as a service of the system."),
        ),
    }
}

/// Whether logind is told to end processes: the last word of `logind.conf` and the files laid over it.
fn kill_user_processes(folder: &Path) -> bool {
    let mut files = vec![folder.join("logind.conf")];
    let mut more: Vec<_> = fs::read_dir(folder.join("logind.conf.d")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    more.sort();
    files.extend(more);
    let mut kills = false;
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines() {
            if let Some(value) = line.trim().strip_prefix("KillUserProcesses=") {
                kills = matches!(value.trim(), "yes" | "true" | "on" | "1");
            }
        }
    }
    kills
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_last_word_of_logind_counts() {
        let etc = tempfile::tempdir().expect("a folder");
        assert!(!kill_user_processes(etc.path()), "the default leaves them alone");
        fs::write(etc.path().join("logind.conf"), "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n").expect("a file");
        assert!(kill_user_processes(etc.path()));
        fs::create_dir(etc.path().join("logind.conf.d")).expect("a folder");
        fs::write(etc.path().join("logind.conf.d/10.conf"), "KillUserProcesses=no\n").expect("a file");
        assert!(!kill_user_processes(etc.path()));
    }

    #[test]
    fn only_killing_without_linger_is_a_problem() {
        assert_eq!(logout(true, false, "ann").state, State::Problem);
        assert!(logout(true, false, "ann").todo[0].contains("enable-linger ann"));
        assert_eq!(logout(true, true, "ann").state, State::Ok);
        assert_eq!(logout(false, false, "ann").state, State::Ok);
    }
}
