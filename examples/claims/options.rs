//! The command line. Keeps: whoever holds [`Options`] names claims that there are. Used by `main` alone.

use crate::claim::Claim;
use lexopt::prelude::*;
use std::fmt::Write as _;

const HELP: &str = "\
Measures what is claimed and says whether it holds.

    claims [--quick] [--only N5,N7]

  --quick        small sizes and generous bounds: whether everything works, not how fast
  --only NAMES   only these claims, with commas between
  --help         this text

Exit code: 0 all bounds hold, 1 one is broken, 2 nothing could be tried.

Claims:
";

#[derive(Debug, Default)]
pub struct Options {
    pub is_quick: bool,
    /// Numbers of claims; none for all.
    pub only: Vec<u32>,
}

pub fn help(claims: &[Claim]) -> String {
    let mut help = HELP.to_owned();
    for claim in claims {
        let _ = writeln!(help, "  {:<5} {}", claim.name(), claim.what);
    }
    help
}

/// `None` when only help is wanted.
pub fn parse(
    mut parser: lexopt::Parser,
    claims: &[Claim],
) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => options.is_quick = true,
            Long("only") => {
                for name in parser.value()?.string()?.split(',') {
                    let name = name.trim();
                    let known = claims
                        .iter()
                        .find(|claim| claim.name().eq_ignore_ascii_case(name));
                    let known = known.ok_or_else(|| format!("no claim is called `{name}`"))?;
                    options.only.push(known.number);
                }
            }
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
