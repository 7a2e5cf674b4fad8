//! The tables of GGUF: ways to store a tensor, and names of file types, by their numbers in the file.
//!
//! Invariant: a kind that the compute library can run has its `dtype`; the others have their name, so that an error can name them.

use candle_core::quantized::GgmlDType;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorKind {
    /// The name that model makers use (`Q4_K`).
    pub name: &'static str,
    /// The same for the compute library; `None`: it has no code for it.
    pub dtype: Option<GgmlDType>,
    /// Numbers in a block, bytes of a block.
    pub block: (u64, u64),
}

/// The ways to store a tensor that GGUF knows, by their number in the file.
pub(super) fn tensor_kind(code: u32) -> Option<TensorKind> {
    use GgmlDType as D;
    let (name, dtype, block) = match code {
        0 => ("F32", Some(D::F32), (1, 4)),
        1 => ("F16", Some(D::F16), (1, 2)),
        2 => ("Q4_0", Some(D::Q4_0), (32, 18)),
        3 => ("Q4_1", Some(D::Q4_1), (32, 20)),
        6 => ("Q5_0", Some(D::Q5_0), (32, 22)),
        7 => ("Q5_1", Some(D::Q5_1), (32, 24)),
        8 => ("Q8_0", Some(D::Q8_0), (32, 34)),
        9 => ("Q8_1", None, (32, 36)),
        10 => ("Q2_K", Some(D::Q2K), (256, 84)),
        11 => ("Q3_K", Some(D::Q3K), (256, 110)),
        12 => ("Q4_K", Some(D::Q4K), (256, 144)),
        13 => ("Q5_K", Some(D::Q5K), (256, 176)),
        14 => ("Q6_K", Some(D::Q6K), (256, 210)),
        15 => ("Q8_K", None, (256, 292)),
        16 => ("IQ2_XXS", None, (256, 66)),
        17 => ("IQ2_XS", None, (256, 74)),
        18 => ("IQ3_XXS", None, (256, 98)),
        19 => ("IQ1_S", None, (256, 50)),
        20 => ("IQ4_NL", None, (32, 18)),
        21 => ("IQ3_S", None, (256, 110)),
        22 => ("IQ2_S", None, (256, 82)),
        23 => ("IQ4_XS", None, (256, 136)),
        24 => ("I8", None, (1, 1)),
        25 => ("I16", None, (1, 2)),
        26 => ("I32", None, (1, 4)),
        27 => ("I64", None, (1, 8)),
        28 => ("F64", None, (1, 8)),
        29 => ("IQ1_M", None, (256, 56)),
        30 => ("BF16", Some(D::BF16), (1, 2)),
        34 => ("TQ1_0", None, (256, 54)),
        35 => ("TQ2_0", None, (256, 66)),
        39 => ("MXFP4", None, (32, 17)),
        _ => return None,
    };
    Some(TensorKind { name, dtype, block })
}

/// The names of llama.cpp's `general.file_type`.
pub(super) fn file_type(code: i64) -> Option<&'static str> {
    Some(match code {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4",
        _ => return None,
    })
}
