//! carat-template: runs one chat template on some conversations. Carat starts it for templates that it does not know; it is not meant to be called by hand.
//!
//! Standard input, once: {"template": TEXT, "renders": [VARIABLES, ...]}. Standard output: {"results": [{"text": TEXT} or {"error": TEXT}, ...]}, or
//! {"error": TEXT} when the template itself is none. Templates come with models of strangers: whatever one does, it ends within the limits, and touches nothing.

mod limits;
mod python;
mod template;

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    limits::confine()?;
    let mut request = Vec::new();
    std::io::stdin().lock().read_to_end(&mut request)?;
    std::io::stdout().lock().write_all(template::answer(&request).as_bytes())
}
