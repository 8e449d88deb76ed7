//! Pictures for those who have none at hand: gradients, noise, shapes and something like text.
//!
//! Keeps: the same number is the same picture, byte for byte, every time. Used by `main` when there
//! is no `--input`. Drawing is itself spread over threads, with [`Executor::map`].

use image::{DynamicImage, ImageFormat, ImageResult, Rgb, RgbImage};
use latchwork::CancelToken;
use latchwork::executor::{Executor, TaskError, ThreadPoolExecutor};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

const ALL: u32 = 60;
const QUICK: u32 = 12;

/// Width and height; odd, thin and tiny ones are where halving goes wrong.
const SIZES: [(u32, u32); 7] = [
    (1600, 1200),
    (1280, 853),
    (1024, 1024),
    (640, 2001),
    (1999, 333),
    (1920, 1080),
    (1, 1),
];

/// A quick picture is so many times smaller, in both directions.
const QUICK_DIVISOR: u32 = 12;

/// The colour at a place of the picture with this number: number, x, y.
type Pixel = fn(u32, u32, u32) -> [u8; 3];

const EXTENSIONS: [&str; 5] = ["png", "jpg", "PNG", "jpeg", "JPG"];
const FOLDERS: [&str; 3] = ["", "drawn", "drawn/deeper"];

/// Draws the pictures into `folder`; gives up between two of them when `stop` is cancelled.
pub fn draw(folder: &Path, quick: bool, stop: &CancelToken) -> Result<(), Box<dyn Error>> {
    for sub in FOLDERS {
        fs::create_dir_all(folder.join(sub))?;
    }
    let (count, divisor) = if quick {
        (QUICK, QUICK_DIVISOR)
    } else {
        (ALL, 1)
    };
    let pool = ThreadPoolExecutor::builder()
        .thread_name_prefix("draw")
        .build();
    let orders = (0..count).map(|number| (folder.to_owned(), number, divisor));
    for drawn in pool.map(draw_one, orders)?.within(stop) {
        match drawn {
            Ok(drawn) => drawn.map_err(io::Error::other)?,
            Err(TaskError::GaveUp(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Draws picture `number`. The error is a text, since a task's result must be fit for a process too.
fn draw_one((folder, number, divisor): (PathBuf, u32, u32)) -> Result<(), String> {
    let at = |list: &[&'static str]| list[number as usize % list.len()];
    let (width, height) = SIZES[number as usize % SIZES.len()];
    let (width, height) = (width.div_ceil(divisor), height.div_ceil(divisor));
    let (what, pixel): (&str, Pixel) = match number % 4 {
        0 => ("gradient", gradient),
        1 => ("noise", noise),
        2 => ("shapes", shapes),
        _ => ("text", text),
    };
    let extension = at(&EXTENSIONS);
    let path = folder
        .join(at(&FOLDERS))
        .join(format!("{what} {number:02}.{extension}"));
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb(pixel(number, x, y)));
    save(picture.into(), number, &path).map_err(|error| format!("{}: {error}", path.display()))
}

fn save(picture: DynamicImage, number: u32, path: &Path) -> ImageResult<()> {
    let format = ImageFormat::from_path(path)?;
    // What a PNG can hold differs more than what is on it.
    let picture = match (format, number % 3) {
        (ImageFormat::Png, 0) => picture.into_rgba8().into(),
        (ImageFormat::Png, 1) => picture.into_rgb16().into(),
        _ => picture,
    };
    picture.save_with_format(path, format)
}

fn gradient(number: u32, x: u32, y: u32) -> [u8; 3] {
    let step = number / 8 + 1;
    [x / step, y / step, (x + y) / (2 * step)].map(|level| level as u8)
}

fn noise(number: u32, x: u32, y: u32) -> [u8; 3] {
    // One in four pixels is itself, the others copy a neighbour: photographs aren't pure noise.
    let seed = (u64::from(number) << 48) | (u64::from(y / 2) << 24) | u64::from(x / 2);
    let level = fastrand::Rng::with_seed(seed).u8(..);
    [level, level / 2 + 60, 255 - level]
}

fn shapes(number: u32, x: u32, y: u32) -> [u8; 3] {
    let pitch = 40 + 8 * (number % 7);
    let (dx, dy) = (
        (x % pitch).abs_diff(pitch / 2),
        (y % pitch).abs_diff(pitch / 2),
    );
    let shade = (x / pitch * 37 + y / pitch * 91) as u8;
    if dx * dx + dy * dy < pitch * pitch / 9 {
        [shade, 200, 255 - shade]
    } else if dx == dy {
        [20, 20, 20]
    } else {
        [250, 245, 230]
    }
}

fn text(number: u32, x: u32, y: u32) -> [u8; 3] {
    // Cells of 8 by 14 pixels: a glyph is 5 by 7 random dots, twice as high, one in six is a space.
    let (column, row) = (x / 8, y / 14);
    let seed = (u64::from(number) << 40) | (u64::from(row) << 20) | u64::from(column);
    let mut glyph = fastrand::Rng::with_seed(seed);
    let is_space = glyph.u8(..6) == 0;
    let dots = glyph.u64(..);
    let (dot_x, dot_y) = (x % 8, y % 14 / 2);
    if !is_space && dot_x < 5 && dots >> (dot_y * 5 + dot_x) & 1 == 1 {
        [30, 30, 60]
    } else {
        [255, 255, 250]
    }
}
