//! Steps made of rows that are computed one by one: most of them. Threads share the rows.

use std::ops::Range;

use crate::division::{RowsDivision, Units};
use crate::kernels::set::KernelSet;
use crate::plan::{Frame, Step};

/// A step that computes its rows, whatever a row is, in any order.
pub(crate) trait Rowwise: Send + Sync {
    /// Rows of so many samples.
    fn rows(&self, samples: usize) -> usize;

    /// What a row takes one core, in microseconds, about.
    fn row_us(&self, kernels: &KernelSet, samples: usize) -> f64;

    /// The scratch that each further thread needs.
    fn helper_bytes(&self) -> usize {
        0
    }

    /// Computes some rows. What is left does not depend on how the rows are divided.
    ///
    /// # Safety
    /// As for [`Step::run_units`], for these rows.
    unsafe fn run_rows(&self, frame: &Frame<'_>, scratch: *mut u8, rows: Range<usize>);
}

fn division(step: &impl Rowwise, kernels: &KernelSet, samples: usize) -> Option<RowsDivision> {
    RowsDivision::of(step.rows(samples), step.row_us(kernels, samples))
}

impl<T: Rowwise> Step for T {
    unsafe fn run(&self, frame: &Frame<'_>) {
        // SAFETY: the caller's promise.
        unsafe { self.run_rows(frame, frame.scratch, 0..self.rows(frame.samples)) }
    }

    fn units(&self, kernels: &KernelSet, samples: usize, _: usize) -> Option<Units> {
        Some(division(self, kernels, samples)?.units())
    }

    fn helper_bytes(&self) -> usize {
        Rowwise::helper_bytes(self)
    }

    unsafe fn run_units(&self, frame: &Frame<'_>, scratch: *mut u8, _: usize, units: Option<Range<usize>>) {
        let (Some(division), Some(units)) = (division(self, frame.kernels, frame.samples), units) else {
            unreachable!("a step without units is run as a whole")
        };
        // SAFETY: the caller's promise; no two units have a row in common.
        unsafe { self.run_rows(frame, scratch, division.rows(units)) }
    }
}
