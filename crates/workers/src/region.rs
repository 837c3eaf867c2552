//! Memory that two processes share. It has no name: a file descriptor of it is passed through a socket, and the kernel takes it back
//! when the last of both has ended, however it ended.
//!
//! All `unsafe` of this crate is here. The other side may write anything, anywhere, at any time, so that
//! - no reference to the memory is ever made but to atomic integers; everything else is copied in and out;
//! - every bit pattern is a value of every type that is copied out;
//! - every place is checked against the length, which cannot change: the memory is sealed (on an Apple system it has one size by
//!   nature).
//!
//! **Traps.** A copy that races with the other side's writes gives arbitrary numbers. The protocol hands a block from one side to the
//! other through an atomic word, so that this only happens when the other side breaks it; then nothing but those numbers is wrong.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use bytemuck::{NoUninit, Pod};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{fstat, ftruncate};

/// Shared memory, mapped into this process.
pub(crate) struct Region {
    map: MmapRaw,
    file: OwnedFd,
}

impl Region {
    /// Fresh zeros. Pages take memory when they are first written.
    pub(crate) fn create(bytes: usize) -> io::Result<Region> {
        let file = anonymous_file(bytes as u64)?;
        Self::map(file, bytes)
    }

    /// The memory behind a descriptor that the other side made with [`create`](Self::create).
    pub(crate) fn open(file: OwnedFd, bytes: usize) -> io::Result<Region> {
        let got = fstat(&file)?.st_size;
        if u64::try_from(got).is_ok_and(|got| got < bytes as u64) {
            let message = format!("expected {bytes} bytes of shared memory, got {got}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Self::map(file, bytes)
    }

    fn map(file: OwnedFd, bytes: usize) -> io::Result<Region> {
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        Ok(Region { map, file })
    }

    /// What is passed to the other side.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The 32-bit word at this place.
    ///
    /// # Panics
    /// Unless it is inside and aligned.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        let place = self.place(at, 4, 4);
        // SAFETY: the word is inside the mapping and aligned, the mapping lives as long as `self`, and neither side accesses the
        // words of the protocol but as atomics.
        unsafe { AtomicU32::from_ptr(place.cast()) }
    }

    /// The 64-bit word at this place.
    ///
    /// # Panics
    /// Unless it is inside and aligned.
    pub(crate) fn wide(&self, at: usize) -> &AtomicU64 {
        let place = self.place(at, 8, 8);
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(place.cast()) }
    }

    /// Copies values in.
    ///
    /// # Panics
    /// Unless the place is inside.
    pub(crate) fn write<T: NoUninit>(&self, at: usize, values: &[T]) {
        let place = self.place(at, size_of_val(values), 1);
        // SAFETY: the source is a slice without padding, the target as long and inside the mapping; they do not overlap, since no
        // Rust value lies in the mapping.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().cast(), place, size_of_val(values)) }
    }

    /// Copies `count` values out.
    ///
    /// # Panics
    /// Unless the place is inside.
    pub(crate) fn read<T: Pod>(&self, at: usize, count: usize) -> Vec<T> {
        let bytes = count.checked_mul(size_of::<T>()).expect("a length that was checked against the region");
        let place = self.place(at, bytes, 1);
        let mut values = Vec::<T>::with_capacity(count);
        // SAFETY: the source is inside the mapping, the target has room for as many, and they do not overlap. Afterwards `count`
        // values are initialised, since any bytes make a `T`.
        unsafe {
            std::ptr::copy_nonoverlapping(place, values.as_mut_ptr().cast(), bytes);
            values.set_len(count);
        }
        values
    }

    fn place(&self, at: usize, bytes: usize, align: usize) -> *mut u8 {
        let length = self.map.len();
        let inside = at.checked_add(bytes).is_some_and(|end| end <= length);
        assert!(inside && at.is_multiple_of(align), "{bytes} bytes at {at} of {length}, aligned to {align}");
        // SAFETY: `at` is at most the length of the mapping.
        unsafe { self.map.as_mut_ptr().add(at) }
    }
}

/// A file without a name, whose size nobody can change.
#[cfg(target_os = "linux")]
fn anonymous_file(bytes: u64) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let file = memfd_create("paceline", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, bytes)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

/// A file whose name is gone before anybody can know of it.
#[cfg(not(target_os = "linux"))]
fn anonymous_file(bytes: u64) -> io::Result<OwnedFd> {
    use std::sync::atomic::Ordering;

    use rustix::fs::Mode;
    use rustix::shm::{OFlags, open, unlink};

    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("/paceline-{}-{number}", std::process::id());
    let file = open(&name, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR, Mode::RUSR | Mode::WUSR)?;
    unlink(&name)?;
    ftruncate(&file, bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn both_sides_see_the_same() {
        let ours = Region::create(8192).unwrap();
        let theirs = Region::open(ours.file().try_clone_to_owned().unwrap(), 8192).unwrap();
        ours.write(100, &[1.5f32, -2.0]);
        assert_eq!(theirs.read::<f32>(100, 2), [1.5, -2.0]);
        theirs.word(64).store(7, Ordering::Relaxed);
        assert_eq!(ours.word(64).load(Ordering::Relaxed), 7);
        assert!(ours.read::<i64>(8192, 0).is_empty());
    }

    #[test]
    fn nothing_outside_is_reached() {
        let region = &Region::create(4096).unwrap();
        let panics = |access: &dyn Fn()| {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(access)).is_err());
        };
        panics(&|| drop(region.read::<u8>(4096, 1)));
        panics(&|| drop(region.read::<i64>(0, usize::MAX / 8)));
        panics(&|| drop(region.read::<u8>(usize::MAX, 1)));
        panics(&|| region.write(4095, &[0u8; 2]));
        panics(&|| region.word(4094).store(1, Ordering::Relaxed));
        panics(&|| region.word(2).store(1, Ordering::Relaxed));
        panics(&|| region.wide(4).store(1, Ordering::Relaxed));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_size_cannot_be_changed_by_the_other_side() {
        let region = Region::create(4096).unwrap();
        assert!(ftruncate(region.file(), 0).is_err());
        assert!(ftruncate(region.file(), 8192).is_err());
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        let region = Region::create(4096).unwrap();
        assert!(Region::open(region.file().try_clone_to_owned().unwrap(), 4097).is_err());
    }
}
