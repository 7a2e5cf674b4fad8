//! Everything about a file: what it says, and what it takes once it is loaded here.

use std::path::Path;

use super::matrix;
use crate::backend::gguf::anatomy::{self, Stored};
use crate::backend::gguf::{Want, Whole};
use crate::backend::inspect::describe;
use crate::error::Result;
use crate::proto::{Inspection, ModelInfo};

/// Reads the heads of a model's file and of its parts. Blocks for a moment.
///
/// # Errors
/// As [`Whole::read`].
pub fn inspect(model: ModelInfo, path: &Path) -> Result<Inspection> {
    let whole = Whole::read(path, Want::Listing)?;
    let mut inspection = Inspection::of(model);
    describe(&mut inspection, &whole);
    let tensors = whole.header.tensors.iter().map(|(name, tensor)| Stored {
        name,
        bytes: matrix::resident(tensor),
        rows: tensor.shape.first().map_or(0, |rows| *rows as u64),
    });
    inspection.anatomy = anatomy::anatomy(&whole.header, tensors, "the file, as the embedded engine keeps it");
    if let Some(anatomy) = &mut inspection.anatomy {
        // The engine reads its output from the input's rows, and no images.
        anatomy.projector = 0;
    }
    Ok(inspection)
}
