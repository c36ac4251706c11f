//! `LineWriter`: writes values into a log line byte for byte as `tracing-subscriber` does.

use std::cell::Cell;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// Writes values into the room for a line as the subscriber of the log does, in JSON or as text. Each method returns
/// `None` where there is no room left.
pub(super) struct LineWriter<'a, const JSON: bool> {
    room: &'a mut [u8],
}

impl<'a, const JSON: bool> LineWriter<'a, JSON> {
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Self { room }
    }

    /// Returns how many bytes were not written to.
    pub(super) fn left(&self) -> usize {
        self.room.len()
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (place, room) = std::mem::take(&mut self.room).split_at_mut_checked(bytes.len())?;
        place.copy_from_slice(bytes);
        self.room = room;
        Some(())
    }

    /// A text that is plain.
    #[inline]
    pub(super) fn ours(&mut self, value: &[u8]) -> Option<()> {
        debug_assert!(is_plain(value), "{}", String::from_utf8_lossy(value));
        self.put(value)
    }

    pub(super) fn signed(&mut self, number: i64) -> Option<()> {
        if number < 0 {
            self.put(b"-")?;
        }
        self.decimal(number.unsigned_abs())
    }

    #[inline]
    pub(super) fn decimal(&mut self, number: u64) -> Option<()> {
        match number {
            0..10 => self.put(&[digit(number)]),
            10..100 => self.put(&pair(number)),
            100..1000 => self.put(&three(number)),
            _ => self.long(number),
        }
    }

    /// A number beyond 999.
    fn long(&mut self, number: u64) -> Option<()> {
        // At most six calls deep.
        self.decimal(number / 1000)?;
        self.put(&three(number))
    }

    /// In milliseconds, to the microsecond, as floating-point numbers are written.
    #[inline]
    pub(super) fn duration(&mut self, duration: Duration) -> Option<()> {
        let micros = micros(duration);
        self.decimal(micros / 1000)?;
        match three(micros) {
            [tenths, b'0', b'0'] => self.put(&[b'.', tenths]),
            [tenths, hundredths, b'0'] => self.put(&[b'.', tenths, hundredths]),
            [tenths, hundredths, thousandths] => self.put(&[b'.', tenths, hundredths, thousandths]),
        }
    }

    #[inline]
    pub(super) fn address(&mut self, address: IpAddr) -> Option<()> {
        match address {
            IpAddr::V4(address) => {
                let [first, rest @ ..] = address.octets();
                self.decimal(first.into())?;
                for octet in rest {
                    self.put(b".")?;
                    self.decimal(octet.into())?;
                }
            }
            IpAddr::V6(address) => write!(self.room, "{address}").ok()?,
        }
        if JSON { self.put(b"\"") } else { Some(()) }
    }

    /// A time; `None` also where it takes a year of other than four digits.
    #[inline]
    pub(super) fn time(&mut self, now: SystemTime) -> Option<()> {
        let since = now.duration_since(UNIX_EPOCH).ok()?;
        let second = match LAST.get().filter(|last| last.number == since.as_secs()) {
            Some(last) => last,
            None => {
                let next = Second::of(since.as_secs())?;
                LAST.set(Some(next));
                next
            }
        };
        self.put(&second.text)?;
        let micros = u64::from(since.subsec_micros());
        let ([a, b, c], [d, e, f]) = (three(micros / 1000), three(micros));
        self.put(&[a, b, c, d, e, f, b'Z'])
    }
}

/// Returns whether a text can stand between quotes as it is, in text and in JSON, on any terminal.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return text.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
    };
    let (all, _looked_at_as_last) = text.as_chunks();
    all.iter().fold(harm(*last), |harm_so_far, eight| harm_so_far | harm(*eight)) == 0
}

/// Looks at eight bytes at once; not 0 where one of them is a control, beyond ASCII, a quote or a backslash. A
/// subtraction sets the highest bit of a byte that was less, and borrows of another byte only then.
fn harm(eight: [u8; 8]) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let bytes = u64::from_ne_bytes(eight);
    let is = |byte: u64| (bytes ^ (EACH * byte)).wrapping_sub(EACH);
    let found = bytes | bytes.wrapping_sub(EACH * 0x20) | is(0x22) | is(0x5c) | is(0x7f);
    found & (EACH * 0x80)
}

/// Returns whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    let of_second = duration.subsec_nanos().saturating_add(500) / 1000;
    duration.as_secs().saturating_mul(1_000_000).saturating_add(of_second.into())
}

/// Returns the last digit of a number.
fn digit(number: u64) -> u8 {
    u8::try_from(number % 10).unwrap_or_default() + b'0'
}

/// Returns the last two digits of a number.
fn pair(number: u64) -> [u8; 2] {
    /// The numbers below 100.
    static PAIRS: &[u8; 200] = b"\
    0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    let place = usize::try_from(number % 100).unwrap_or_default();
    PAIRS.as_chunks().0.get(place).copied().unwrap_or([b'0'; 2])
}

/// Returns the last three digits of a number.
fn three(number: u64) -> [u8; 3] {
    let [tens, ones] = pair(number);
    [digit(number / 100), tens, ones]
}

/// A second, and how it is written: `2026-11-29T18:05:00.`
#[derive(Clone, Copy)]
struct Second {
    number: u64,
    text: [u8; 20],
}

impl Second {
    fn of(number: u64) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp(i64::try_from(number).ok()?).ok()?;
        let mut text = *b"0000-00-00T00:00:00.";
        let year = u64::try_from(at.year()).ok()?;
        let parts = [year / 100, year, u8::from(at.month()).into(), at.day().into()];
        let parts = parts.into_iter().chain([at.hour().into(), at.minute().into(), at.second().into()]);
        for (place, part) in [0, 2, 5, 8, 11, 14, 17].into_iter().zip(parts) {
            text.get_mut(place..place + 2)?.copy_from_slice(&pair(part));
        }
        Some(Self { number, text })
    }
}

thread_local! {
    /// The second that was written last.
    static LAST: Cell<Option<Second>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::format_description;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_rfc_3339_wants_it(seconds in 0..253_402_300_800_u64, nanos in 0..1_000_000_000_u32) {
            let at = UNIX_EPOCH + Duration::new(seconds, nanos);
            let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
            let wished = OffsetDateTime::from(at).format(&form).unwrap();
            // The second time from memory.
            for _ in 0..2 {
                let mut room = [0; 27];
                LineWriter::<false>::new(&mut room).time(at).unwrap();
                prop_assert_eq!(&room[..], wished.as_bytes());
            }
        }
    }

    #[test]
    fn a_time_of_another_form_is_left_to_tracing() {
        let far = UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        for at in [UNIX_EPOCH - Duration::from_nanos(1), far] {
            assert_eq!(LineWriter::<false>::new(&mut [0; 40]).time(at), None, "{at:?}");
        }
        assert!(LineWriter::<false>::new(&mut [0; 40]).time(SystemTime::UNIX_EPOCH).is_some());
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let mut room = [0; 4];
        let line = &mut LineWriter::<true>::new(&mut room);
        assert_eq!(line.decimal(12345), None);
        assert_eq!(LineWriter::<true>::new(&mut room).address([127, 0, 0, 1].into()), None);
        assert_eq!(LineWriter::<true>::new(&mut room).address([1; 16].into()), None);
        let line = &mut LineWriter::<true>::new(&mut room);
        assert_eq!((line.put(b"abc"), line.left()), (Some(()), 1));
    }
}
