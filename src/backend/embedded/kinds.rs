//! Which storages of GGUF the compute library can run.

use candle_core::quantized::GgmlDType;

use crate::backend::gguf::TensorKind;

/// The compute library's name of a storage; `None`: it has no code for it.
#[must_use]
pub fn dtype(kind: TensorKind) -> Option<GgmlDType> {
    use GgmlDType as D;
    Some(match kind.name {
        "F32" => D::F32,
        "F16" => D::F16,
        "BF16" => D::BF16,
        "Q4_0" => D::Q4_0,
        "Q4_1" => D::Q4_1,
        "Q5_0" => D::Q5_0,
        "Q5_1" => D::Q5_1,
        "Q8_0" => D::Q8_0,
        "Q2_K" => D::Q2K,
        "Q3_K" => D::Q3K,
        "Q4_K" => D::Q4K,
        "Q5_K" => D::Q5K,
        "Q6_K" => D::Q6K,
        _ => return None,
    })
}
