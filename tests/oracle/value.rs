//! What messages are made of, without a type for each: a tree of named fields, and paths into it.

use std::fmt;

/// A field's value. A request may hold what its schema forbids: a null, or bytes that are not text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Bytes; in the place of a text, ones that are not UTF-8.
    Bytes(Vec<u8>),
    /// What is called otherwise by each server: a topic id, a port. Written `$orders`.
    Symbol(String),
    List(Vec<Value>),
    Struct(Vec<(String, Value)>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A field of a struct.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    pub fn field_mut(&mut self, name: &str) -> Option<&mut Value> {
        let Self::Struct(fields) = self else { return None };
        fields.iter_mut().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// Sets a field of a struct, which it may not have yet.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Some(place) = self.field_mut(name) {
            *place = value;
        } else if let Self::Struct(fields) = self {
            fields.push((name.to_owned(), value));
        }
    }

    /// The entries of a list; none of anything else.
    pub fn entries(&self) -> &[Value] {
        if let Self::List(entries) = self { entries } else { &[] }
    }

    pub fn entries_mut(&mut self) -> &mut [Value] {
        if let Self::List(entries) = self { entries } else { &mut [] }
    }

    /// The entries of a list in a field.
    pub fn list(&self, name: &str) -> &[Value] {
        self.field(name).map_or(&[], Value::entries)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.field(name) {
            Some(Self::Int(int)) => Some(*int),
            _ => None,
        }
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Every place that a path leads to: `topics[].partitions[].error_code`. The empty path is the value itself.
    pub fn at<'a>(&'a self, path: &str) -> Vec<&'a Value> {
        let Some((name, is_list, rest)) = first(path) else { return vec![self] };
        let Some(value) = self.field(name) else { return Vec::new() };
        if is_list {
            return value.entries().iter().flat_map(|entry| entry.at(rest)).collect();
        }
        value.at(rest)
    }

    /// Changes every place that a path leads to.
    pub fn change(&mut self, path: &str, change: &mut dyn FnMut(&mut Value)) {
        let Some((name, is_list, rest)) = first(path) else { return change(self) };
        let Some(value) = self.field_mut(name) else { return };
        if is_list {
            value.entries_mut().iter_mut().for_each(|entry| entry.change(rest, change));
        } else {
            value.change(rest, change);
        }
    }

    /// Changes the places that a path leads to in both of two trees.
    pub fn change_both(
        &mut self,
        other: &mut Value,
        path: &str,
        change: &mut dyn FnMut(&mut Value, &mut Value),
    ) {
        let Some((name, is_list, rest)) = first(path) else { return change(self, other) };
        let (Some(mine), Some(theirs)) = (self.field_mut(name), other.field_mut(name)) else { return };
        if is_list {
            let pairs = mine.entries_mut().iter_mut().zip(theirs.entries_mut());
            pairs.for_each(|(mine, theirs)| mine.change_both(theirs, rest, change));
        } else {
            mine.change_both(theirs, rest, change);
        }
    }

    /// Changes every value of the tree that is neither list nor struct; told by the name of its field.
    pub fn change_leaves(&mut self, name: &str, change: &mut dyn FnMut(&str, &mut Value)) {
        match self {
            Self::List(entries) => entries.iter_mut().for_each(|entry| entry.change_leaves(name, change)),
            Self::Struct(fields) => {
                fields.iter_mut().for_each(|(name, value)| value.change_leaves(&name.clone(), change));
            }
            leaf => change(name, leaf),
        }
    }

    /// How many values there are that are neither list nor struct.
    pub fn leaves(&self) -> usize {
        match self {
            Self::List(entries) => entries.iter().map(Value::leaves).sum(),
            Self::Struct(fields) => fields.iter().map(|(_, value)| value.leaves()).sum(),
            _ => 1,
        }
    }
}

/// The first name of a path, whether all entries of that list are meant, and the rest.
fn first(path: &str) -> Option<(&str, bool, &str)> {
    if path.is_empty() {
        return None;
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    Some(head.strip_suffix("[]").map_or((head, false, rest), |name| (name, true, rest)))
}

/// In the words of a script, on one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => display_text(text, f),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Symbol(name) => write!(f, "${name}"),
            Self::List(entries) => {
                f.write_str("[")?;
                for (index, entry) in entries.iter().enumerate() {
                    write!(f, "{}{entry}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A long text of one character is written `"x"*4097`.
fn display_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let first = text.chars().next();
    let count = text.chars().count();
    match first.filter(|first| count > 32 && text.chars().all(|c| c == *first)) {
        Some(first) => write!(f, "{:?}*{count}", first.to_string()),
        None => write!(f, "{text:?}"),
    }
}
