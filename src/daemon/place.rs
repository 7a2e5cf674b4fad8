//! Where the private socket lies: in the state folder, or where that cannot be, in a private folder under the temporary one.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::error::{Error, Kind, Result};

const SOCKET: &str = "host.sock";
/// Longest path in bytes that every system takes for a socket (macOS: 104 with the closing zero; Linux: 108).
const LONGEST: usize = 100;

/// Listens at a fresh socket that only this user can reach.
pub(super) fn bind(state: &Path) -> Result<(UnixListener, PathBuf)> {
    let first = state.join(SOCKET);
    let mut cause = None;
    if first.as_os_str().len() <= LONGEST && !on_network_disk(state) {
        match bind_at(&first) {
            Ok(listener) => return Ok((listener, first)),
            Err(error) => cause = Some(error),
        }
    }
    let second = fallback(state).map_err(|e| cannot(&first, &e))?.join(SOCKET);
    match bind_at(&second) {
        Ok(listener) => Ok((listener, second)),
        Err(error) => Err(cannot(&first, &cause.unwrap_or(error))),
    }
}

fn cannot(path: &Path, e: &std::io::Error) -> Error {
    Error::new(Kind::ReadOnly, format!("No socket can be made at {}, nor in the temporary folder.", path.display()))
        .hint("Use a folder on a local disk with --home, or --in-process.")
        .cause(e)
}

fn bind_at(path: &Path) -> std::io::Result<UnixListener> {
    // Whoever left it is dead: this process holds the lock.
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let listener = UnixListener::bind(path)?;
    // The folder is 0700 already; this is the second lock on the same door.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A folder of this user's own with a short path, the same for the same state folder.
fn fallback(state: &Path) -> std::io::Result<PathBuf> {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(state.as_os_str().as_encoded_bytes());
    let name =
        format!("arbour-{}-{:02x}{:02x}{:02x}{:02x}", rustix::process::geteuid().as_raw(), digest[0], digest[1], digest[2], digest[3]);
    let temporary = std::env::temp_dir();
    let base = if temporary.as_os_str().len() + name.len() + SOCKET.len() + 2 > LONGEST { PathBuf::from("/tmp") } else { temporary };
    let folder = base.join(name);
    if make_private(&folder).is_ok() && is_private(&folder) {
        return Ok(folder);
    }
    // Somebody else was there first, by accident or on purpose.
    let other = base.join(format!("arbour-{}", uuid::Uuid::new_v4().simple()));
    make_private(&other)?;
    Ok(other)
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Not a link, and nobody else's.
fn is_private(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder)
        .is_ok_and(|m| m.is_dir() && m.uid() == rustix::process::geteuid().as_raw() && m.permissions().mode() & 0o077 == 0)
}

#[cfg(target_os = "linux")]
fn on_network_disk(folder: &Path) -> bool {
    // NFS, SMB, CIFS, SMB2, AFS, Ceph, 9p, and FUSE (sshfs and its like).
    const NETWORK: [u32; 8] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x5346_414F, 0x00C3_6400, 0x0102_1997, 0x6573_5546];
    // The type's width differs between systems; the numbers are of 32 bits.
    rustix::fs::statfs(folder).is_ok_and(|fs| NETWORK.contains(&(fs.f_type as u32)))
}

/// Elsewhere a socket that cannot be made says so itself.
#[cfg(not(target_os = "linux"))]
fn on_network_disk(_: &Path) -> bool {
    false
}

/// Removes the socket, and the fallback's folder with it.
pub(super) fn clear(socket: &Path) {
    // The next host removes what could not be removed now.
    drop(std::fs::remove_file(socket));
    if let Some(folder) = socket.parent().filter(|folder| folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with("arbour-"))) {
        drop(std::fs::remove_dir(folder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_path_falls_back_to_a_short_private_one() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("a".repeat(60)).join("b".repeat(60));
        std::fs::create_dir_all(&state).unwrap();
        let (_listener, socket) = bind(&state).unwrap();
        assert!(socket.as_os_str().len() <= LONGEST && !socket.starts_with(&state), "{}", socket.display());
        let folder = socket.parent().unwrap();
        assert!(is_private(folder));
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        clear(&socket);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_dead_hosts_socket_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        drop(bind(state.path()).unwrap());
        let (_listener, socket) = bind(state.path()).unwrap();
        assert_eq!(socket, state.path().join(SOCKET));
    }
}
