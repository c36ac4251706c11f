//! Whether a file can be trusted: others must not be able to write to it (CF-07).

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::files;

/// The permission bit that lets anybody write.
const OTHERS_WRITE: u32 = 0o002;
/// The sticky bit: only the owner of an entry may replace it (`/tmp`).
const STICKY: u32 = 0o1000;

/// Refuses anything but a regular file, a file or folder that is writable by everyone, and a symbolic link that leaves
/// its folder (Kubernetes mounts a ConfigMap with links inside the folder).
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let metadata = |p: &Path| std::fs::metadata(p).map_err(|e| e.to_string());
    let real = path.canonicalize().map_err(|e| e.to_string())?;
    let file = metadata(&real)?;
    if !file.is_file() {
        return Err(files::ReadError::NotAFile(files::name_of(file.file_type())).to_string());
    }
    if has(&file, OTHERS_WRITE) {
        return Err("it is writable by everyone".to_owned());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    if !real.starts_with(&folder) {
        return Err("it is a symbolic link that leaves its folder".to_owned());
    }
    let folders = real.ancestors().skip(1).take_while(|f| f.starts_with(&folder));
    for folder in folders {
        let folder = metadata(folder)?;
        if has(&folder, OTHERS_WRITE) && !has(&folder, STICKY) {
            return Err("its folder is writable by everyone".to_owned());
        }
    }
    Ok(())
}

fn has(file: &Metadata, bits: u32) -> bool {
    file.permissions().mode() & bits == bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn cf_07_what_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, "").unwrap();
        chmod(&file, 0o644);
        assert_eq!(check(&file), Ok(()));
        chmod(&file, 0o646);
        assert_eq!(check(&file), Err("it is writable by everyone".into()));
        chmod(&file, 0o644);
        chmod(dir.path(), 0o777);
        assert_eq!(check(&file), Err("its folder is writable by everyone".into()));
        chmod(dir.path(), 0o1777);
        assert_eq!(check(&file), Ok(()));
        assert_eq!(check(dir.path()), Err("it is a folder, not a plain file".into()));
    }

    #[test]
    fn cf_07_a_link_may_not_leave_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        for folder in [&here, &there] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("real.toml"), "").unwrap();
        }
        std::os::unix::fs::symlink("real.toml", here.join("within.toml")).unwrap();
        std::os::unix::fs::symlink(there.join("real.toml"), here.join("outside.toml")).unwrap();
        assert_eq!(check(&here.join("within.toml")), Ok(()));
        assert_eq!(check(&here.join("outside.toml")), Err("it is a symbolic link that leaves its folder".into()));
    }
}
