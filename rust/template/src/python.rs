//! What Python prints and Rust does not: templates are written against Python's Jinja.

use minijinja::value::{Kwargs, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// repr() of a float: the shortest digits that are read back as it, an exponent below 1e-4 and from 1e16.
pub fn float(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() {
            "nan"
        } else if v > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_string();
    }
    let scientific = format!("{v:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{v}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// str() of a value.
pub fn text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Number => Ok(number(value)),
        _ => Ok(value.to_string()),
    }
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        value.to_string()
    } else {
        f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
    }
}

/// str.strip(): Unicode's white space, and the four separators that Python counts as such.
pub fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Jinja's dictsort: pairs in the order of their names, or of their values, without regard to the case of any letter unless asked for.
pub fn dictsort(value: &Value, options: Kwargs) -> Result<Value, Error> {
    if value.kind() != ValueKind::Map {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("dictsort wants a mapping, this is {}", value.kind()),
        ));
    }
    let case_sensitive = options.get::<Option<bool>>("case_sensitive")?.unwrap_or(false);
    let by_value = match options.get::<Option<&str>>("by")? {
        None | Some("key") => false,
        Some("value") => true,
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "dictsort sorts by key or by value")),
    };
    let reverse = options.get::<Option<bool>>("reverse")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut entries = Vec::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        let by = if by_value { &item } else { &key };
        let order = match by.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => by.clone(),
        };
        entries.push((order, Value::from(Tuple::from(vec![key, item]))));
    }
    if reverse {
        entries.sort_by(|a, b| b.0.cmp(&a.0));
    } else {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(entries.into_iter().map(|entry| entry.1).collect())
}

/// json.dumps(value, ensure_ascii=False, ...), as transformers has it under the name tojson.
pub fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let indent = match indent {
        Some(v) if !v.is_none() => Some(match v.as_str() {
            Some(s) => s.to_string(),
            None => " ".repeat(usize::try_from(v)?.min(64)),
        }),
        _ => None,
    };
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators are two strings")),
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
    };
    let sort = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut writer = JsonWriter {
        out: String::new(),
        indent,
        item,
        key,
        sort,
        ascii,
    };
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

struct JsonWriter {
    out: String,
    indent: Option<String>,
    item: String,
    key: String,
    sort: bool,
    ascii: bool,
}

impl JsonWriter {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > 200 {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: nested too deep"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let text = number(value);
                self.out.push_str(match text.as_str() {
                    "nan" => "NaN",
                    "inf" => "Infinity",
                    "-inf" => "-Infinity",
                    other => other,
                });
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                self.out.push('[');
                let mut any = false;
                for item in value.try_iter()? {
                    self.begin(any, depth);
                    any = true;
                    self.value(&item, depth + 1)?;
                }
                self.end(any, depth, ']');
            }
            ValueKind::Map => {
                self.out.push('{');
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                let mut any = false;
                for key in keys {
                    self.begin(any, depth);
                    any = true;
                    self.string(&text(&key)?);
                    self.out.push_str(&self.key.clone());
                    self.value(&value.get_item(&key)?, depth + 1)?;
                }
                self.end(any, depth, '}');
            }
            kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("{kind} is not JSON serializable"))),
        }
        Ok(())
    }

    fn begin(&mut self, any: bool, depth: usize) {
        if any {
            self.out.push_str(&self.item.clone());
        }
        self.line(depth + 1);
    }

    fn end(&mut self, any: bool, depth: usize, bracket: char) {
        if any {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}
