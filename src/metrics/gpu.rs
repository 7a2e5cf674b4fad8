//! GPUs: NVIDIA through NVML (feature `gpu`, loaded at run time), AMD through the kernel's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::proto::Gpu;

/// The GPUs of this machine.
pub(super) struct Gpus {
    #[cfg(feature = "gpu")]
    nvidia: Option<nvidia::Nvidia>,
    amd: Vec<Amd>,
}

impl Gpus {
    pub(super) fn find() -> Self {
        Self {
            #[cfg(feature = "gpu")]
            nvidia: nvidia::Nvidia::open(),
            amd: Amd::find(Path::new("/sys/class/drm")),
        }
    }

    /// Memory of GPUs that processes take, in bytes; by pid. (The kernel's files of AMD cards do not tell.)
    #[cfg_attr(not(feature = "gpu"), expect(clippy::unused_self, reason = "only NVML tells"))]
    pub(super) fn by_process(&self) -> BTreeMap<u32, u64> {
        #[cfg(feature = "gpu")]
        if let Some(nvidia) = &self.nvidia {
            return nvidia.by_process();
        }
        BTreeMap::new()
    }

    pub(super) fn read(&self) -> Vec<Gpu> {
        let mut gpus = Vec::new();
        #[cfg(feature = "gpu")]
        if let Some(nvidia) = &self.nvidia {
            gpus.extend(nvidia.read());
        }
        gpus.extend(self.amd.iter().map(Amd::read));
        gpus
    }
}

#[cfg(feature = "gpu")]
mod nvidia {
    use std::collections::BTreeMap;

    use nvml_wrapper::Nvml;
    use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
    use nvml_wrapper::enums::device::UsedGpuMemory;

    use crate::proto::Gpu;

    /// Where the driver's library is when the loader does not know it (WSL keeps it apart).
    const ELSEWHERE: [&str; 2] = ["/usr/lib/wsl/lib/libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1"];

    pub(super) struct Nvidia {
        nvml: Nvml,
        names: Vec<String>,
    }

    impl Nvidia {
        /// `None` without a driver or without a card.
        pub(super) fn open() -> Option<Self> {
            let nvml =
                Nvml::init().ok().or_else(|| ELSEWHERE.iter().find_map(|path| Nvml::builder().lib_path(path.as_ref()).init().ok()))?;
            let names: Vec<String> = (0..nvml.device_count().ok()?)
                .map(|index| {
                    let name = nvml.device_by_index(index).and_then(|device| device.name());
                    name.map_or_else(|_| format!("NVIDIA {index}"), |name| super::plain(&name))
                })
                .collect();
            (!names.is_empty()).then_some(Self { nvml, names })
        }

        pub(super) fn by_process(&self) -> BTreeMap<u32, u64> {
            let mut all: BTreeMap<u32, u64> = BTreeMap::new();
            for index in (0u32..).take(self.names.len()) {
                let Ok(device) = self.nvml.device_by_index(index) else { continue };
                // One that computes and draws (Vulkan) stands in both lists with the same figure.
                let lists = [device.running_compute_processes(), device.running_graphics_processes()];
                let mut here: BTreeMap<u32, u64> = BTreeMap::new();
                for process in lists.into_iter().flatten().flatten() {
                    if let UsedGpuMemory::Used(bytes) = process.used_gpu_memory {
                        let most = here.entry(process.pid).or_default();
                        *most = bytes.max(*most);
                    }
                }
                for (pid, bytes) in here {
                    *all.entry(pid).or_default() += bytes;
                }
            }
            all
        }

        pub(super) fn read(&self) -> impl Iterator<Item = Gpu> + '_ {
            self.names.iter().zip(0..).map(|(name, index)| {
                let mut gpu = super::unknown(name.clone());
                // A card that fell off the bus keeps its row, without figures.
                let Ok(device) = self.nvml.device_by_index(index) else { return gpu };
                gpu.busy = device.utilization_rates().ok().map(|rates| rates.gpu as f32);
                if let Ok(memory) = device.memory_info() {
                    gpu.memory_used = Some(memory.used);
                    gpu.memory_total = Some(memory.total);
                }
                gpu.temperature = device.temperature(TemperatureSensor::Gpu).ok().map(|degrees| degrees as f32);
                gpu.power = device.power_usage().ok().map(|milliwatts| milliwatts as f32 / 1000.0);
                gpu
            })
        }
    }
}

fn unknown(name: String) -> Gpu {
    Gpu { name, busy: None, memory_used: None, memory_total: None, temperature: None, power: None }
}

/// A name as a driver gives it, on one line and without control characters.
fn plain(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).collect()
}

/// An AMD card: a folder of small files.
struct Amd {
    name: String,
    device: PathBuf,
    /// The sensor folder, when there is one.
    sensors: Option<PathBuf>,
}

impl Amd {
    /// Looks under the kernel's `drm` folder for cards that tell how busy they are.
    fn find(drm: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(drm) else { return Vec::new() };
        let mut devices: Vec<PathBuf> = entries
            .flatten()
            // `card0` is a card, `card0-HDMI-A-1` one of its plugs.
            .filter(|entry| {
                let name = entry.file_name();
                let number = name.to_string_lossy();
                number.strip_prefix("card").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            })
            .map(|entry| entry.path().join("device"))
            .filter(|device| device.join("mem_info_vram_total").exists() || device.join("gpu_busy_percent").exists())
            .collect();
        devices.sort();
        devices
            .into_iter()
            .enumerate()
            .map(|(index, device)| {
                let name = fs::read_to_string(device.join("product_name")).unwrap_or_default();
                let name = plain(&name);
                let sensors = fs::read_dir(device.join("hwmon")).ok().and_then(|mut folders| folders.next()?.ok()).map(|e| e.path());
                Self { name: if name.is_empty() { format!("AMD {index}") } else { name }, device, sensors }
            })
            .collect()
    }

    fn read(&self) -> Gpu {
        let sensor = |file: &str| self.sensors.as_ref().and_then(|folder| number(&folder.join(file)));
        let mut gpu = unknown(self.name.clone());
        gpu.busy = number(&self.device.join("gpu_busy_percent")).map(|percent| percent.min(100) as f32);
        gpu.memory_used = number(&self.device.join("mem_info_vram_used"));
        gpu.memory_total = number(&self.device.join("mem_info_vram_total"));
        gpu.temperature = sensor("temp1_input").map(|thousandths| thousandths as f32 / 1e3);
        gpu.power = sensor("power1_average").or_else(|| sensor("power1_input")).map(|millionths| millionths as f32 / 1e6);
        gpu
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn an_amd_card_is_read_from_the_kernels_files() {
        let drm = tempfile::tempdir().expect("a folder");
        put(drm.path(), "card1/device/gpu_busy_percent", "37\n");
        put(drm.path(), "card1/device/mem_info_vram_used", "1073741824\n");
        put(drm.path(), "card1/device/mem_info_vram_total", "17163091968\n");
        put(drm.path(), "card1/device/product_name", "Radeon RX 7600\u{1b}[2J\n");
        put(drm.path(), "card1/device/hwmon/hwmon3/temp1_input", "62000\n");
        put(drm.path(), "card1/device/hwmon/hwmon3/power1_average", "41500000\n");
        put(drm.path(), "card1-HDMI-A-1/device/gpu_busy_percent", "1\n");
        put(drm.path(), "card0/device/vendor", "0x8086\n");
        put(drm.path(), "card2/device/gpu_busy_percent", "broken\n");

        let gpus: Vec<Gpu> = Amd::find(drm.path()).iter().map(Amd::read).collect();

        assert_eq!(gpus.len(), 2, "{gpus:?}");
        assert!(gpus[0].name.starts_with("Radeon RX 7600") && !gpus[0].name.contains('\u{1b}'), "{:?}", gpus[0].name);
        assert_eq!((gpus[0].busy, gpus[0].memory_used, gpus[0].memory_total), (Some(37.0), Some(1 << 30), Some(17_163_091_968)));
        assert_eq!((gpus[0].temperature, gpus[0].power), (Some(62.0), Some(41.5)));
        assert_eq!(gpus[1], unknown("AMD 1".to_owned()), "what cannot be read is not known");
    }

    #[test]
    fn a_machine_without_cards_has_none() {
        assert!(Amd::find(Path::new("/nonexistent")).is_empty());
    }
}
