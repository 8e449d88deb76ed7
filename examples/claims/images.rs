//! The claim about pictures: a hundred made grey and half as large, by threads and by processes.
//!
//! Keeps: the bytes are those of the serial run, whoever made them.

use crate::claim::{Claim, Line, Scale, Unit};
use crate::cpu::{mapping, processes};
use crate::machine::{Race, cpus};
use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use latchwork::executor::ThreadPoolExecutor;
use serde::{Deserialize, Serialize};
use std::io::Cursor;

pub const CLAIMS: &[Claim] = &[Claim {
    number: 17,
    what: "100 pictures, grey and half the size",
    check: pictures,
}];

/// A file, as bytes that travel quickly.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct File(#[serde(with = "serde_bytes")] Vec<u8>);

fn encoded(picture: &DynamicImage) -> File {
    let mut file = Cursor::new(Vec::new());
    let written = picture.write_to(&mut file, ImageFormat::Png);
    written.expect("it is written to memory");
    File(file.into_inner())
}

/// Stripes and noise: something for the decoder and the encoder to do.
fn draw(number: usize, side: u32) -> File {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let picture = RgbImage::from_fn(side, side * 3 / 4, |x, y| {
        let noise = random.u8(..16);
        image::Rgb([x * 5, y * 3, (x + y) * 2].map(|level| (level as u8) ^ noise))
    });
    encoded(&DynamicImage::ImageRgb8(picture))
}

fn shrink(file: File) -> File {
    let picture = image::load_from_memory(&file.0).expect("it is one of ours");
    let grey = picture.grayscale();
    let (width, height) = (grey.width() / 2, grey.height() / 2);
    encoded(&grey.resize_exact(width, height, imageops::FilterType::Triangle))
}

fn pictures(scale: &Scale) -> Vec<Line> {
    let quick = if cfg!(debug_assertions) { 64 } else { 320 };
    let (count, side) = scale.pick((100, 480), (20, quick));
    let files: Vec<File> = (0..count).map(|number| draw(number, side)).collect();
    let workers = cpus();
    let (threads, processes) = (ThreadPoolExecutor::new(workers), processes(workers));
    let race = Race::run(
        scale,
        count,
        workers,
        |number| shrink(files[number].clone()),
        vec![
            mapping(
                format!("{workers} threads"),
                &threads,
                shrink,
                files.clone(),
            ),
            mapping(
                format!("{workers} processes"),
                &processes,
                shrink,
                files.clone(),
            ),
        ],
    );
    let mut lines = race.base();
    lines.extend([
        race.line(0, scale),
        race.shown(1),
        Line::at_least(
            "threads, beside processes",
            scale.part(),
            race.speed_up(0) / race.speed_up(1),
            Unit::Times,
        ),
    ]);
    lines
}
