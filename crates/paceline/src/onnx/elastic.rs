//! Models with axes whose length each request chooses.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use paceline_engine::InputError;
use paceline_onnx::{FreeAxis, ImportOptions, Imported, OnnxError, Source};

/// The greatest length of an axis that nothing is said of.
const MOST: usize = 512;
/// Programs that are kept, unless chosen otherwise.
const PROGRAMS: usize = 16;

/// A model from an ONNX file with axes, beside the batch, whose length each request chooses. To be loaded with
/// [`Engine::load_elastic`](crate::Engine::load_elastic).
///
/// The file must not be shortened or written to as long as the model exists, as programs for further lengths are made from it.
#[derive(Clone)]
pub struct ElasticModel {
    source: Arc<Source>,
    options: ImportOptions,
    axes: Vec<FreeAxis>,
    /// For each axis.
    most: Vec<usize>,
    programs: usize,
}

impl ElasticModel {
    /// Opens a model.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        Self::from_onnx_with(path, &ImportOptions::default())
    }

    /// [`from_onnx`](Self::from_onnx) with choices; an axis that they bind to a length is not free.
    pub fn from_onnx_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self, OnnxError> {
        let source = Source::open(path)?;
        let axes = source.free_axes(options)?;
        let most = vec![MOST; axes.len()];
        Ok(ElasticModel {
            source: Arc::new(source),
            options: options.clone(),
            axes,
            most,
            programs: PROGRAMS,
        })
    }

    /// The greatest length that requests may have along a free axis: 512 unless chosen, and at least 1.
    ///
    /// # Errors
    /// Where the model has no free axis of this name.
    pub fn most(mut self, axis: &str, length: usize) -> Result<Self, OnnxError> {
        let Some(at) = self.axes.iter().position(|free| free.name == axis) else {
            let names: Vec<String> = self.axes.iter().map(|axis| format!("'{}'", axis.name)).collect();
            return Err(OnnxError::Choice {
                expected: format!("one of the model's free axes ({})", names.join(", ")),
                got: format!("'{axis}'"),
            });
        };
        self.most[at] = length.max(1);
        Ok(self)
    }

    /// How many programs, each for other lengths, are kept: 16 unless chosen, and at least 1. Of more, the least recently used goes; each
    /// has arenas of its own, but not the weights.
    #[must_use]
    pub fn programs(mut self, programs: usize) -> Self {
        self.programs = programs.max(1);
        self
    }

    /// The axes whose length each request chooses.
    pub fn axes(&self) -> &[FreeAxis] {
        &self.axes
    }

    /// The greatest length of each.
    pub fn greatest(&self) -> Vec<usize> {
        self.most.clone()
    }

    /// How many programs are kept.
    pub fn most_programs(&self) -> usize {
        self.programs
    }

    /// The model for some lengths, one for each free axis.
    pub fn read(&self, lengths: &[usize]) -> Result<Imported, OnnxError> {
        let named = self.axes.iter().zip(lengths);
        self.source.read(
            &named.fold(self.options.clone(), |options, (axis, &length)| options.dim(&axis.name, length)),
        )
    }

    /// The lengths that a request's inputs have; `None` where an input or axis is missing.
    pub(crate) fn lengths<'r>(&self, shape: impl Fn(&str) -> Option<&'r [usize]>) -> Option<Vec<usize>> {
        let length = |axis: &FreeAxis| {
            let (input, index) = axis.places.first()?;
            shape(input)?.get(*index).copied()
        };
        self.axes.iter().map(length).collect()
    }

    /// Passes if requests may have these lengths.
    pub(crate) fn check(&self, lengths: &[usize]) -> Result<(), InputError> {
        for ((axis, &most), &got) in self.axes.iter().zip(&self.most).zip(lengths) {
            if !(1..=most).contains(&got) {
                return Err(InputError::Length { axis: axis.name.clone(), most, got });
            }
        }
        Ok(())
    }

    /// `sequence=64, width=3`
    pub(crate) fn describe(&self, lengths: &[usize]) -> String {
        let mut text = String::new();
        for (index, (axis, length)) in self.axes.iter().zip(lengths).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{}={length}", axis.name);
        }
        text
    }
}

impl fmt::Debug for ElasticModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = self.describe(&self.most);
        f.debug_struct("ElasticModel").field("most", &bounds).field("programs", &self.programs).finish()
    }
}
