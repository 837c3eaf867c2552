//! Files of a model: the model itself and those that its tensors lie in.
//!
//! **Traps.** Files are mapped, not read, and large tensors lie in them as long as the graph exists that they belong to. Whoever cuts a
//! file short, or writes into it, in that time stops the process or changes the model, as with every program that maps files; to
//! replace a file by another of its name is harmless. Programs that a device compiled do not read files any more.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;
use paceline_graph::Store;

use crate::OnnxError;

/// The largest model file: what protobuf can hold. Tensors in other files are not counted.
const LARGEST_FILE_BYTES: usize = 1 << 31;

/// A mapped file, or part of one, or bytes that are in memory anyway.
#[derive(Clone)]
pub(crate) struct Content {
    pub bytes: Bytes,
    file: Option<Arc<Mmap>>,
}

/// What keeps a mapping alive behind [`Bytes`].
struct Mapping(Arc<Mmap>);

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content { bytes, file: None }
    }
}

impl Content {
    /// A part of it, which must be one.
    pub(crate) fn part(&self, bytes: Bytes) -> Content {
        Content { bytes, file: self.file.clone() }
    }
}

impl Store for Content {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pages of the file that it lies in: what is read again comes from the file.
    fn release(&self) {
        let Some(file) = &self.file else { return };
        let Some(offset) = self.bytes.as_ptr().addr().checked_sub(file.as_ptr().addr()) else { return };
        if self.bytes.is_empty() || offset + self.bytes.len() > file.len() {
            return;
        }
        // SAFETY: the mapping is of a file and is never written to, so that a page that is dropped has the same content when it is
        // read again. A failure leaves the page where it is.
        #[cfg(unix)]
        let _ = unsafe {
            file.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, self.bytes.len())
        };
    }
}

/// A file's content.
pub(crate) fn map(path: &Path) -> Result<Content, OnnxError> {
    let io = |error| OnnxError::Io { path: path.into(), error };
    let ordinary = |metadata: &std::fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io(std::io::Error::other("it is not an ordinary file"))),
    };
    // Asked before it is opened, too: opening a pipe would wait for somebody to write to it.
    ordinary(&std::fs::metadata(path).map_err(io)?)?;
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    ordinary(&metadata)?;
    if metadata.len() == 0 {
        return Ok(Content::from(Bytes::new()));
    }
    // SAFETY: the mapping is only read. That no other process shortens the file meanwhile is asked of the user, in
    // the documentation of this module and of the functions that read a path.
    let mapping = unsafe { Mmap::map(&file) }.map_err(io)?;
    let file = Arc::new(mapping);
    Ok(Content { bytes: Bytes::from_owner(Mapping(Arc::clone(&file))), file: Some(file) })
}

/// A model file's content.
pub(crate) fn map_model(path: &Path) -> Result<Content, OnnxError> {
    let content = map(path)?;
    if content.bytes.len() > LARGEST_FILE_BYTES {
        return Err(OnnxError::Bound { what: "bytes", most: LARGEST_FILE_BYTES });
    }
    Ok(content)
}

/// The files beside a model that its tensors lie in, each mapped once.
pub(crate) struct ExternalFiles {
    /// The model's folder; none where the model came from memory.
    folder: Option<PathBuf>,
    mapped: HashMap<String, Content>,
}

impl ExternalFiles {
    /// Those in a folder; none can be had where there is no folder.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        ExternalFiles { folder, mapped: HashMap::new() }
    }

    /// So many bytes, or all, from `offset` on of the file at `location`, a path below the model's folder.
    pub(crate) fn bytes(
        &mut self,
        tensor: &str,
        location: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Content, OnnxError> {
        let problem = |expected: &str, got: String| OnnxError::Tensor {
            name: tensor.into(),
            expected: expected.into(),
            got,
        };
        let Some(folder) = &self.folder else {
            return Err(problem(
                "all data within the model, as it was not read from a file",
                format!("data in '{location}'"),
            ));
        };
        if !self.mapped.contains_key(location) {
            let inside = "data in a file below the model's folder";
            let relative = Path::new(location);
            let plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
            if !plain || location.is_empty() {
                return Err(problem(inside, format!("data in '{location}'")));
            }
            let path = folder.join(relative);
            let real =
                |path: &Path| path.canonicalize().map_err(|error| OnnxError::Io { path: path.into(), error });
            if !real(&path)?.starts_with(real(folder)?) {
                return Err(problem(inside, format!("'{location}', which is a link to elsewhere")));
            }
            self.mapped.insert(location.into(), map(&path)?);
        }
        let content = &self.mapped[location];
        let part = usize::try_from(offset).ok().and_then(|start| {
            let rest = content.bytes.len().checked_sub(start)?;
            let length = match length {
                Some(length) => usize::try_from(length).ok()?,
                None => rest,
            };
            (length <= rest).then(|| content.part(content.bytes.slice(start..start + length)))
        });
        part.ok_or_else(|| {
            let wanted = length.map_or("all".into(), |length| format!("{length}"));
            problem(
                &format!("{wanted} bytes from byte {offset} of '{location}'"),
                format!("a file of {} bytes", content.bytes.len()),
            )
        })
    }

    /// Bytes of the files that were opened.
    pub(crate) fn total_bytes(&self) -> usize {
        self.mapped.values().map(|content| content.bytes.len()).sum()
    }
}
