//! Jinja as transformers sets it up for chat templates, by minijinja: no files, no other templates, nothing but what is handed in.

use std::io;
use std::time::{Duration, Instant};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::json;

use crate::python;

const STEPS: u64 = 1_000_000;
const DEPTH: usize = 100;
const OUTPUT: usize = 16 << 20;
const TIME: Duration = Duration::from_millis(900); // looked at when something is printed: a reason in words before the system's limit strikes

/// Request to answer, both JSON: see main.rs.
pub fn answer(request: &[u8]) -> String {
    let failed = |what: String| json!({ "error": what });
    let answer = || {
        let mut request: serde_json::Value = match serde_json::from_slice(request) {
            Ok(value) => value,
            Err(error) => return failed(format!("the request cannot be read: {error}")),
        };
        let renders = match request.get_mut("renders").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(renders)) => renders,
            _ => return failed("the request has no renders".to_string()),
        };
        let source = request.get("template").and_then(serde_json::Value::as_str).unwrap_or_default();
        let template = match Template::new(source) {
            Ok(template) => template,
            Err(error) => return failed(error),
        };
        let render = |variables| match template.render(variables) {
            Ok(text) => json!({ "text": text }),
            Err(error) => failed(error),
        };
        json!({ "results": renders.into_iter().map(render).collect::<Vec<_>>() })
    };
    answer().to_string()
}

/// The template as a function from variables to text. Each call has all of the steps and of the output.
struct Template<'a> {
    environment: Environment<'a>,
    source: &'a str,
}

impl<'a> Template<'a> {
    fn new(source: &'a str) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|e| e.to_string())?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(STEPS));
        environment.set_recursion_limit(DEPTH);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(|out, _, value| Ok(out.write_str(&python::text(value)?)?));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("the template refuses: {message}")))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", |value: &Value, options| python::to_json(value, options));
        environment.add_filter("string", |value: &Value| python::text(value));
        environment.add_filter("trim", |value: &Value, chars: Option<String>| -> Result<String, Error> {
            let text = python::text(value)?;
            Ok(match chars {
                Some(chars) => text.trim_matches(|c| chars.contains(c)).to_string(),
                None => python::strip(&text).to_string(),
            })
        });
        environment.add_filter("dictsort", python::dictsort);
        environment.add_test("sequence", |value: &Value| {
            matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
        });
        environment.template_from_str(source).map_err(|e| described(&e))?;
        Ok(Template { environment, source })
    }

    fn render(&self, variables: serde_json::Value) -> Result<String, String> {
        let template = self.environment.template_from_str(self.source).map_err(|e| described(&e))?;
        let mut out = Limited {
            bytes: Vec::new(),
            end: Instant::now() + TIME,
        };
        template
            .render_captured_to(Value::from(Serde(variables)), &mut out)
            .map_err(|e| described(&e))?;
        String::from_utf8(out.bytes).map_err(|_| "the template wrote what is not UTF-8".to_string())
    }
}

fn described(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => format!("it takes more than {STEPS} steps"),
        ErrorKind::WriteFailure => std::error::Error::source(error).map_or_else(|| "it cannot be written".to_string(), |e| e.to_string()),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_string),
    };
    error.line().map_or_else(|| what.clone(), |line| format!("{what} (line {line})"))
}

/// The time now, in UTC, as strftime() of C writes it.
fn strftime_now(format: String) -> Result<String, Error> {
    let refused = |what| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {what}"));
    let format = std::ffi::CString::new(format).map_err(|_| refused("a format with a zero byte"))?;
    let mut buffer = [0u8; 512];
    // SAFETY: time() takes null; gmtime_r() and strftime() get whole objects of ours, and the buffer's true size.
    let length = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::gmtime_r(&now, &mut parts).is_null() {
            return Err(refused("the system does not tell the time"));
        }
        libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &parts)
    };
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

struct Limited {
    bytes: Vec<u8>,
    end: Instant,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT {
            return Err(io::Error::other(format!("it writes more than {OUTPUT} bytes")));
        }
        if Instant::now() > self.end {
            return Err(io::Error::other(format!("it takes more than {} ms", TIME.as_millis())));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
