//! Pictures as models take them: upright, small enough, PNG or JPEG.
//!
//! Owns: what is done to a picture before it is sent. Refuses: files (`blobs`) and requests (`attachments`). Invariants: pure; nothing is
//! unpacked whose head says that it would not fit; a picture that is small enough and known everywhere goes as it is.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::core::estimate::LONGEST_SIDE;
use crate::error::{Error, Kind, Result, harmless, quoted};

/// What unpacking one may take, in bytes: a hundred million pixels.
const UNPACKED: u64 = 420 << 20;
/// Pixels in one direction.
const WIDEST: u32 = 32_768;
/// Bytes that are sent at most; services refuse more than 5 MB of base64.
const HEAVIEST: usize = 3_500_000;
const QUALITY: u8 = 88;

/// A picture to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) mime: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Makes a picture ready. Takes as long as unpacking it does.
pub(super) fn ready(name: &str, bytes: Vec<u8>) -> Result<Picture> {
    let broken = |e: image::ImageError| {
        Error::new(Kind::File, format!("The picture {} cannot be read, so it cannot be sent.", quoted(name)))
            .hint("Open it in a viewer: it may be damaged, or too large. Save it anew as PNG or JPEG and attach that.")
            .cause(harmless(&e.to_string()))
    };
    let format = image::guess_format(&bytes).map_err(broken)?;
    let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(WIDEST);
    limits.max_image_height = Some(WIDEST);
    limits.max_alloc = Some(UNPACKED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let known = match format {
        ImageFormat::Png => Some("image/png"),
        ImageFormat::Jpeg => Some("image/jpeg"),
        // Not every server reads these.
        _ => None,
    };
    let fits = width.max(height) <= LONGEST_SIDE && bytes.len() <= HEAVIEST && orientation == Orientation::NoTransforms;
    if decoder.total_bytes() > UNPACKED {
        return Err(Error::new(Kind::File, format!("The picture {} has too many pixels to be unpacked.", quoted(name)))
            .hint("Make it smaller and attach it again."));
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    // Only now it is known to be whole.
    if let Some(mime) = known.filter(|_| fits) {
        return Ok(Picture { mime, bytes });
    }
    if image.width().max(image.height()) > LONGEST_SIDE {
        image = image.resize(LONGEST_SIDE, LONGEST_SIDE, image::imageops::FilterType::Triangle);
    }
    image.apply_orientation(orientation);
    // What was drawn stays sharp; photographs are photographs.
    if matches!(format, ImageFormat::Png | ImageFormat::Gif) {
        let mut png = Cursor::new(Vec::new());
        eight_bits(&image).write_to(&mut png, ImageFormat::Png).map_err(broken)?;
        if png.get_ref().len() <= HEAVIEST {
            return Ok(Picture { mime: "image/png", bytes: png.into_inner() });
        }
    }
    let mut jpeg = Vec::new();
    on_white(&image).write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).map_err(broken)?;
    Ok(Picture { mime: "image/jpeg", bytes: jpeg })
}

/// Sixteen bits a channel tell a model nothing.
fn eight_bits(image: &DynamicImage) -> DynamicImage {
    if image.color().has_alpha() { image.to_rgba8().into() } else { image.to_rgb8().into() }
}

/// JPEG knows nothing transparent: what shows through is white, as on a page.
fn on_white(image: &DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image.to_rgb8().into();
    }
    let mut flat = image::RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.to_rgba8().pixels()) {
        let [r, g, b, alpha] = from.0;
        let over = |c: u8| u8::try_from((u16::from(c) * u16::from(alpha) + 255 * (255 - u16::from(alpha))) / 255).unwrap_or(u8::MAX);
        to.0 = [over(r), over(g), over(b)];
    }
    flat.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn size(picture: &Picture) -> (u32, u32) {
        let image = image::load_from_memory(&picture.bytes).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn what_fits_goes_as_it_is() {
        let small: DynamicImage = image::RgbImage::new(40, 30).into();
        for (format, mime) in [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg")] {
            let bytes = encoded(&small, format);
            assert_eq!(ready("x", bytes.clone()).unwrap(), Picture { mime, bytes });
        }
    }

    #[test]
    fn what_is_large_or_rare_is_made_fit() {
        let wide: DynamicImage = image::RgbImage::new(4000, 1000).into();
        for (format, mime) in [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg"), (ImageFormat::WebP, "image/jpeg")] {
            let made = ready("x", encoded(&wide, format)).unwrap();
            assert_eq!((made.mime, size(&made)), (mime, (1568, 392)));
        }
        let small: DynamicImage = image::RgbaImage::new(10, 20).into();
        let made = ready("x", encoded(&small, ImageFormat::Gif)).unwrap();
        assert_eq!((made.mime, size(&made)), ("image/png", (10, 20)));
    }

    #[test]
    fn a_picture_that_was_taken_sideways_stands_up() {
        let mut jpeg = encoded(&image::RgbImage::new(40, 30).into(), ImageFormat::Jpeg);
        // An EXIF block that says: turn by ninety degrees.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let long = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        jpeg.splice(2..2, [&[0xFF, 0xE1], &long[..], &exif[..]].concat());
        assert_eq!(size(&ready("x", jpeg).unwrap()), (30, 40));
    }

    #[test]
    fn what_shows_through_is_white() {
        let image = on_white(&image::RgbaImage::from_pixel(1, 1, image::Rgba([0, 0, 0, 0])).into());
        assert_eq!(image.to_rgb8().get_pixel(0, 0).0, [255, 255, 255]);
    }

    #[test]
    fn what_is_cut_or_lies_gets_a_sentence() {
        let png = encoded(&image::RgbImage::new(400, 300).into(), ImageFormat::Png);
        let error = ready("oak.png", png[..png.len() / 2].to_vec()).unwrap_err();
        assert_eq!(error.message, "The picture “oak.png” cannot be read, so it cannot be sent.");
        let mut bomb = encoded(&image::RgbImage::new(4, 4).into(), ImageFormat::Gif);
        bomb[6..10].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(ready("bomb.gif", bomb).unwrap_err().kind, Kind::File);
        assert_eq!(ready("x", b"no picture".to_vec()).unwrap_err().kind, Kind::File);
    }
}
