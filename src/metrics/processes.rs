//! What the processes of model servers on this machine take: memory, processor time, memory of GPUs.
//!
//! Owns: finding the process that listens on a port, and reading it. Refuses: which ports are of interest, and when. Invariant: what
//! cannot be told for sure is not told: a port that something else forwards (a container's proxy, a tunnel) has no process here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::gpu::Gpus;

/// How long it is believed which process listens on a port, or that none can be found.
const BELIEVED: Duration = Duration::from_secs(30);

/// Programs that listen for somebody else.
const FORWARDERS: [&str; 9] =
    ["docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "ssh", "socat", "kubectl", "wslrelay"];

/// What one process takes. `None` is "not known".
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessCost {
    pub pid: u32,
    /// Resident, in bytes; mapped files that are in memory count.
    pub memory: Option<u64>,
    /// On GPUs, in bytes.
    pub gpu: Option<u64>,
    /// Percent of one core since the last reading.
    pub cpu: Option<f32>,
}

/// A reader of processes. Reading blocks for some milliseconds, so it belongs on a blocking thread.
pub struct Processes {
    /// `None` where the system tells nothing at all.
    system: Option<System>,
    gpus: Gpus,
    ports: BTreeMap<u16, (Option<Pid>, Instant)>,
    /// Processor time is a difference: the first reading gives none.
    seen: BTreeSet<Pid>,
}

impl Default for Processes {
    fn default() -> Self {
        Self::new()
    }
}

impl Processes {
    /// Finds out what can be read here. Opening a GPU driver can take 100 ms.
    #[must_use]
    pub fn new() -> Self {
        Self { system: System::new().ok(), gpus: Gpus::find(), ports: BTreeMap::new(), seen: BTreeSet::new() }
    }

    /// What the processes take that listen on these ports of this machine. A port without one is left out.
    pub fn read(&mut self, ports: &BTreeSet<u16>) -> BTreeMap<u16, ProcessCost> {
        self.find(ports);
        let pids: BTreeMap<u16, Pid> = ports.iter().filter_map(|port| Some((*port, self.ports.get(port)?.0?))).collect();
        let Some(system) = &mut self.system else { return BTreeMap::new() };
        let all: Vec<Pid> = pids.values().copied().collect();
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&all), true, what);
        let gpu = if pids.is_empty() { BTreeMap::new() } else { self.gpus.by_process() };
        let mut costs = BTreeMap::new();
        for (port, pid) in pids {
            let Some(process) = system.process(pid) else {
                // It has ended; another may listen there by now.
                self.ports.remove(&port);
                self.seen.remove(&pid);
                continue;
            };
            let again = !self.seen.insert(pid);
            let cost = ProcessCost {
                pid: pid.as_u32(),
                memory: Some(process.memory()).filter(|bytes| *bytes > 0),
                gpu: gpu.get(&pid.as_u32()).copied(),
                cpu: again.then(|| process.cpu_usage()).filter(|percent| percent.is_finite()),
            };
            costs.insert(port, cost);
        }
        costs
    }

    /// Looks for the processes of ports about which nothing is known, or not any more.
    fn find(&mut self, ports: &BTreeSet<u16>) {
        let now = Instant::now();
        self.ports.retain(|port, (_, when)| ports.contains(port) && now - *when < BELIEVED);
        let unknown: BTreeSet<u16> = ports.iter().copied().filter(|port| !self.ports.contains_key(port)).collect();
        let Some(system) = self.system.as_mut().filter(|_| !unknown.is_empty()) else { return };
        let what = ProcessRefreshKind::nothing().with_cmd(UpdateKind::OnlyIfNotSet).without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let listening = listeners(Path::new("/proc"), &unknown);
        for port in unknown {
            let pid = listening.get(&port).map(|pid| Pid::from_u32(*pid)).or_else(|| by_arguments(system, port));
            let own = pid.and_then(|pid| system.process(pid)).is_some_and(|process| {
                let name = process.name().to_string_lossy();
                !FORWARDERS.iter().any(|forwarder| name.starts_with(forwarder))
            });
            self.ports.insert(port, (pid.filter(|_| own), now));
        }
    }
}

/// A llama-server that was told its port, where the system does not say who listens.
fn by_arguments(system: &System, port: u16) -> Option<Pid> {
    let port = port.to_string();
    let told = |process: &sysinfo::Process| {
        let args: Vec<_> = process.cmd().iter().map(|arg| arg.to_string_lossy()).collect();
        args.first().is_some_and(|program| program.contains("llama"))
            && args.windows(2).any(|pair| pair[0] == "--port" && pair[1] == port.as_str())
    };
    system.processes().values().find(|process| told(process)).map(sysinfo::Process::pid)
}

/// Which processes listen on these ports, as the kernel's files tell (Linux); those of other users show to root only.
fn listeners(proc: &Path, ports: &BTreeSet<u16>) -> BTreeMap<u16, u32> {
    let mut sockets: BTreeMap<String, u16> = BTreeMap::new();
    for file in ["net/tcp", "net/tcp6"] {
        let table = fs::read_to_string(proc.join(file)).unwrap_or_default();
        sockets.extend(table.lines().skip(1).filter_map(|line| listener(line, ports)));
    }
    let mut found = BTreeMap::new();
    let Some(folders) = fs::read_dir(proc).ok().filter(|_| !sockets.is_empty()) else { return found };
    for folder in folders.flatten() {
        let Some(pid) = folder.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        for descriptor in fs::read_dir(folder.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']'));
            if let Some(port) = inode.and_then(|inode| sockets.get(inode)) {
                // A child may have inherited it: the oldest owns it.
                let owner = found.entry(*port).or_insert(pid);
                *owner = pid.min(*owner);
            }
        }
    }
    found
}

/// A line of `/proc/net/tcp`: the socket's inode and its port, if it listens on one of these.
fn listener(line: &str, ports: &BTreeSet<u16>) -> Option<(String, u16)> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (state == LISTEN && ports.contains(&port)).then(|| (inode.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_behind_a_port_is_found_and_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut processes = Processes::new();
        let first = processes.read(&BTreeSet::from([port]));
        if !cfg!(target_os = "linux") {
            return;
        }
        let own = first.get(&port).copied().expect("this very process");
        assert_eq!((own.pid, own.cpu), (std::process::id(), None), "one reading is no load yet");
        assert!(own.memory.is_some_and(|bytes| bytes > 1 << 20), "{own:?}");
        assert!(processes.read(&BTreeSet::from([port]))[&port].cpu.is_some_and(|percent| percent >= 0.0));
        drop(listener);
        let closed = { std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port() };
        assert_eq!(processes.read(&BTreeSet::from([closed])), BTreeMap::new());
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "   2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000000000000000 100 0 0 10 0";
        let ports = BTreeSet::from([8080]);
        assert_eq!(listener(line, &ports), Some(("4242".to_owned(), 8080)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), &ports), None, "it does not listen");
        for nonsense in ["", "1: x", "1: :ZZZZ a 0A b c d e f g", "\u{1b}[2J"] {
            assert_eq!(listener(nonsense, &ports), None);
        }
    }
}
