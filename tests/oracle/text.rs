//! The text of values, as scripts have it: `{group_id: "g", topics: [{name: "x"*250, ids: [1, -1], id: $orders}]}`.

use super::value::Value;

/// Reads one value, and gives what stands behind it.
pub fn value(text: &str) -> Result<(Value, &str), String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    Ok((value, &text[reader.at..]))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len_utf8() } else { 0 };
        found
    }

    fn fail<T>(&self, wanted: &str) -> Result<T, String> {
        let rest: String = self.rest().chars().take(40).collect();
        Err(format!("{wanted} is wanted at {rest:?}"))
    }

    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.eat('{') {
            return self.fields();
        }
        if self.eat('[') {
            let mut entries = Vec::new();
            while !self.eat(']') {
                entries.push(self.value()?);
                if !self.eat(',') && !self.rest().starts_with(']') {
                    return self.fail("\",\" or \"]\"");
                }
            }
            return Ok(Value::List(entries));
        }
        if self.eat('"') {
            let once = self.string()?;
            if !self.eat('*') {
                return Ok(Value::Text(once));
            }
            let count = self.word();
            return match count.parse() {
                Ok(count) => Ok(Value::Text(once.repeat(count))),
                Err(_) => self.fail("how often a text is repeated"),
            };
        }
        let start = self.at;
        match self.word() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            word => {
                if let Some(digits) = word.strip_prefix("0x") {
                    return bytes(digits).map(Value::Bytes);
                }
                if let Some(name) = word.strip_prefix('$') {
                    return Ok(Value::Symbol(name.to_owned()));
                }
                match word.parse() {
                    Ok(int) => Ok(Value::Int(int)),
                    Err(_) => {
                        self.at = start;
                        self.fail("a value")
                    }
                }
            }
        }
    }

    fn fields(&mut self) -> Result<Value, String> {
        let mut fields = Vec::new();
        while !self.eat('}') {
            let name = self.word();
            if name.is_empty() || !self.eat(':') {
                return self.fail("a field's name and \":\"");
            }
            fields.push((name.to_owned(), self.value()?));
            if !self.eat(',') && !self.rest().starts_with('}') {
                return self.fail("\",\" or \"}\"");
            }
        }
        Ok(Value::Struct(fields))
    }

    /// The rest of a string, behind its first quote.
    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some('u') => {
                        let digits: String =
                            chars.by_ref().map(|(_, c)| c).skip(1).take_while(|c| *c != '}').collect();
                        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        text.push(code.ok_or_else(|| format!("\\u{{{digits}}} is no character"))?);
                    }
                    Some(c) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        self.fail("the end of a text that begins")
    }
}

/// Bytes of hexadecimal digits.
pub fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let digits = digits.as_bytes();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2);
        text.and_then(|text| u8::from_str_radix(text, 16).ok())
            .ok_or_else(|| "not pairs of digits".to_owned())
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn what_is_written_is_read_again() {
    let whole = r#"{a: null, b: [true, -9223372036854775808, {}], c: "a\n\"\\ü😀\0", d: "x"*4097, e: 0x00ff, f: $orders}"#;
    let (read, rest) = value(whole).unwrap();
    assert_eq!((read.to_string().as_str(), rest), (whole, ""));
    assert_eq!(read.str("d").map(str::len), Some(4097));
    for broken in ["{a 1}", "[1 2]", "\"x", "{a: }", "0x0", "nil", "{a: 1", "\"\\u{d800}\""] {
        assert!(value(broken).is_err(), "{broken}");
    }
}
