//! The messages in a stream of events, and how one is replaced (HTML, server-sent events: the lines `data` of an event
//! are joined with LF).

use std::iter;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// A line, and what ends it.
type EventLine<'a> = (&'a [u8], &'a [u8]);

fn split_line(text: &[u8]) -> Option<(EventLine<'_>, &[u8])> {
    if text.is_empty() {
        return None;
    }
    let length = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    let (line, rest) = text.split_at_checked(length)?;
    let end = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
    let (end, rest) = rest.split_at_checked(end)?;
    Some(((line, end), rest))
}

fn lines(mut text: &[u8]) -> impl Iterator<Item = EventLine<'_>> {
    iter::from_fn(move || {
        let (line, rest) = split_line(text)?;
        text = rest;
        Some(line)
    })
}

/// Returns the value of a line `data`, and what is before it.
fn data_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // At the beginning of a stream.
    let bare = line.strip_prefix(BOM).unwrap_or(line);
    let value = match bare.strip_prefix(b"data")? {
        [] => &[],
        [b':', b' ', value @ ..] | [b':', value @ ..] => value,
        _ => return None,
    };
    line.split_at_checked(line.len() - value.len())
}

/// Returns the events of a part of a stream, each with the empty line that ends it.
pub(in crate::proxy) fn events(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::from_fn(move || {
        let mut length = 0;
        while let Some(((line, end), _)) = text.get(length..).and_then(split_line) {
            length += line.len() + end.len();
            if line.is_empty() {
                break;
            }
        }
        let (event, rest) = text.split_at_checked(length)?;
        text = rest;
        (!event.is_empty()).then_some(event)
    })
}

/// Returns the message of an event.
pub(in crate::proxy) fn message(event: &[u8]) -> Vec<u8> {
    let values: Vec<&[u8]> = lines(event).filter_map(|(line, _)| data_of(line)).map(|(_, value)| value).collect();
    values.join(&b'\n')
}

/// Appends an event with another message to `to`; its other lines stay.
pub(super) fn append_with(event: &[u8], message: &[u8], to: &mut Vec<u8>) {
    let mut message = Some(message);
    for (line, end) in lines(event) {
        let Some((before, _)) = data_of(line) else {
            to.extend_from_slice(line);
            to.extend_from_slice(end);
            continue;
        };
        // In place of the first line of the message that goes.
        let Some(message) = message.take() else { continue };
        for (n, part) in message.split(|byte| *byte == b'\n').enumerate() {
            if n > 0 && end.is_empty() {
                to.push(b'\n');
            }
            let before = if n > 0 { before.strip_prefix(BOM).unwrap_or(before) } else { before };
            to.extend_from_slice(before);
            to.extend_from_slice(part);
            to.extend_from_slice(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{append_with, events, message};

    fn with(event: &str, new: &str) -> String {
        let mut to = Vec::new();
        append_with(event.as_bytes(), new.as_bytes(), &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn events_are_split_at_blank_lines_of_every_kind() {
        for (text, expected) in [
            ("data: a\n\ndata: b\n\n", vec!["data: a\n\n", "data: b\n\n"]),
            ("data: a\r\rid: 1\r\n\r\n\n: c", vec!["data: a\r\r", "id: 1\r\n\r\n", "\n", ": c"]),
            ("data: a\r\n", vec!["data: a\r\n"]),
            ("", vec![]),
        ] {
            let split: Vec<_> = events(text.as_bytes()).map(|event| std::str::from_utf8(event).unwrap()).collect();
            assert_eq!(split, expected, "{text:?}");
        }
    }

    #[test]
    fn the_lines_of_a_message_are_joined_and_replaced() {
        for (event, joined, new, expected) in [
            ("event: m\ndata: {\ndata:  1}\nid: 3\n\n", "{\n 1}", "{1}", "event: m\ndata: {1}\nid: 3\n\n"),
            ("data:{\r\ndata:}\r\n\r\n", "{\n}", "[\n]", "data:[\r\ndata:]\r\n\r\n"),
            ("\u{feff}data: a\rdata\r\r", "a\n", "b\nc", "\u{feff}data: b\rdata: c\r\r"),
            (": data: x\ndatax: 1\nid: data\n\n", "", "b", ": data: x\ndatax: 1\nid: data\n\n"),
            ("data: a", "a", "b\nc", "data: b\ndata: c"),
            ("data: a\r\nretry: 1", "a", "b", "data: b\r\nretry: 1"),
        ] {
            assert_eq!(message(event.as_bytes()), joined.as_bytes(), "{event:?}");
            assert_eq!(with(event, new), expected, "{event:?}");
            let same = message(with(event, joined).as_bytes());
            assert_eq!(same, joined.as_bytes(), "{event:?}");
        }
    }
}
