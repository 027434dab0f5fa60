//! One record of a batch: length, attributes, timestamp delta, offset delta, key, value, headers.

use super::varint;

/// Where the parts of a record stand, and its deltas.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The count of headers and the headers.
    pub headers: &'a [u8],
}

/// Takes the bytes of the next record from the front, without its length.
#[inline(always)]
pub fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *bytes;
    let length = varint::take_length(&mut rest)??;
    let (record, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(record)
}

#[inline(always)]
pub fn parse(record: &[u8]) -> Option<Frame<'_>> {
    let (_attributes, mut rest) = record.split_first()?;
    let timestamp_delta = varint::take(&mut rest)?;
    let offset_delta = varint::take(&mut rest)?;
    let key = take_part(&mut rest)?;
    let value = take_part(&mut rest)?;
    Some(Frame {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers: rest,
    })
}

/// Writes a record behind the others, with its length.
pub fn put(out: &mut Vec<u8>, record: &Frame<'_>) {
    // Attributes have a byte, and nothing in it.
    let length = 1
        + varint::length(record.timestamp_delta)
        + varint::length(record.offset_delta)
        + part_length(record.key)
        + part_length(record.value)
        + record.headers.len();
    varint::put(out, length as i64);
    out.push(0);
    varint::put(out, record.timestamp_delta);
    varint::put(out, record.offset_delta);
    put_part(out, record.key);
    put_part(out, record.value);
    out.extend_from_slice(record.headers);
}

/// Headers as they stand in a record: their count, and each.
pub fn encode_headers<'a>(headers: impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, headers.len() as i64);
    for (name, value) in headers {
        put_part(&mut out, Some(name));
        put_part(&mut out, value);
    }
    out
}

fn part_length(part: Option<&[u8]>) -> usize {
    part.map_or(1, |part| varint::length(part.len() as i64) + part.len())
}

fn put_part(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => varint::put(out, -1),
        Some(part) => {
            varint::put(out, part.len() as i64);
            out.extend_from_slice(part);
        }
    }
}

#[inline(always)]
fn take_part<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Some(length) = varint::take_length(rest)? else {
        return Some(None);
    };
    let (part, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(Some(part))
}

/// A header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name. Kafka lets a name stand more than once.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A record, looked at in detail: only what goes wrong needs that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in order. Of broken ones those before the break.
    pub headers: Vec<Header<'a>>,
}

impl<'a> Record<'a> {
    /// The record with these bytes (see [`Block::record`](super::Block::record)); empty if they are none.
    pub fn parse(bytes: &'a [u8]) -> Self {
        parse(bytes).map_or_else(Self::default, |frame| Self {
            key: frame.key,
            value: frame.value,
            headers: headers(frame.headers),
        })
    }
}

impl Record<'_> {
    /// Names and values of the headers.
    pub fn owned_headers(&self) -> OwnedHeaders {
        let owned = |header: &Header<'_>| (header.key.to_vec(), header.value.map(<[u8]>::to_vec));
        self.headers.iter().map(owned).collect()
    }
}

/// Names and values of headers.
pub type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn headers(mut rest: &[u8]) -> Vec<Header<'_>> {
    let mut headers = Vec::new();
    let n_headers = varint::take(&mut rest).unwrap_or(0);
    for _ in 0..n_headers {
        let (Some(Some(key)), Some(value)) = (take_part(&mut rest), take_part(&mut rest)) else {
            break;
        };
        headers.push(Header { key, value });
    }
    headers
}
