//! Reads the machine: processors, memory, GPUs, and the host's own size.
//!
//! Owns: how each figure is read on each system. Refuses: timers, series and who may see them; the host asks when somebody
//! watches and drops the [`Sampler`] when nobody does (an open NVML keeps a GPU awake). Invariant: what cannot be read is
//! `None`, never 0, and no reading ever fails the sample.

mod gpu;
mod processes;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::proto::{Sample, UnixMs};

pub use processes::{ProcessCost, Processes};

/// A reader of this machine. Reading blocks for a few milliseconds at most (a GPU driver that sleeps: longer), so it belongs
/// on a blocking thread.
pub struct Sampler {
    /// `None` where the system tells nothing at all.
    system: Option<System>,
    own: Option<Pid>,
    gpus: gpu::Gpus,
    /// A load is a difference: the first reading gives none.
    seen: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// Finds out what can be read here. Opening a GPU driver can take 100 ms.
    #[must_use]
    pub fn new() -> Self {
        Self { system: System::new().ok(), own: sysinfo::get_current_pid().ok(), gpus: gpu::Gpus::find(), seen: false }
    }

    /// Reads everything once. The fields that the host measures itself (tokens, latencies) stay empty.
    pub fn sample(&mut self, at: UnixMs) -> Sample {
        let mut sample = Sample { at, gpus: self.gpus.read(), ..Sample::default() };
        let Some(system) = &mut self.system else { return sample };
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
        if std::mem::replace(&mut self.seen, true) {
            sample.cpu = Some(system.global_cpu_usage().clamp(0.0, 100.0));
        }
        let total = system.total_memory();
        if total > 0 {
            sample.memory_total = Some(total);
            // Caches can be had back at any time: they are not in use. (sysinfo's `used` counts some of them.)
            sample.memory_used = Some(total.saturating_sub(system.available_memory()));
        }
        if let Some(own) = self.own {
            let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
            sample.host_memory = system.process(own).map(sysinfo::Process::memory).filter(|bytes| *bytes > 0);
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_what_is_known_and_leaves_the_rest() {
        let mut sampler = Sampler::new();
        let first = sampler.sample(1);
        assert_eq!((first.at, first.cpu), (1, None), "one reading is no load yet");
        let total = first.memory_total.expect("memory can be read here");
        assert!(first.memory_used.is_some_and(|used| used > 0 && used < total));
        let own = first.host_memory.expect("the own size can be read here");
        assert!((1 << 20..64 << 30).contains(&own), "{own} bytes");
        assert_eq!(first.tokens_per_s, None);
        assert!(sampler.sample(2).cpu.is_some_and(|cpu| (0.0..=100.0).contains(&cpu)));
    }
}
