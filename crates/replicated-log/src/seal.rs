//! The two small files of a replica: who it is, and what it voted (and how far its log goes). Lines of text that people can
//! read, under a checksum that shows when they were changed.

use std::fmt;

use crate::types::{ClusterId, ReplicaId, Vote};

/// Name of the file with the identity.
pub(crate) const IDENTITY: &str = "identity";

/// Name of the file with the vote.
pub(crate) const VOTE: &str = "vote";

/// Version of the format of both.
const FORMAT: u32 = 1;

/// Who a replica is. Written when its directory is made and when its cluster is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) replica: ReplicaId,
    /// Where it belongs, and how many voters that had in the beginning; `None` until then.
    pub(crate) cluster: Option<(ClusterId, u64)>,
}

/// Why a file is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn seal(kind: &str, fields: &[(&str, String)]) -> Vec<u8> {
    let mut text = format!("replicated log {kind}, format {FORMAT}\n");
    for (name, value) in fields {
        text.push_str(&format!("{name} {value}\n"));
    }
    let sum = crc32c::crc32c(text.as_bytes());
    text.push_str(&format!("checksum {sum:08x}\n"));
    text.into_bytes()
}

/// The values of these fields.
fn open<'a, const N: usize>(
    bytes: &'a [u8],
    kind: &str,
    names: [&str; N],
) -> Result<[&'a str; N], Broken> {
    let broken = |text: &str| Broken(text.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| broken("it is not text"))?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (last, lines) = lines.split_last().ok_or_else(|| broken("it is empty"))?;
    let covered = bytes.get(..bytes.len() - last.len()).unwrap_or_default();
    if *last != format!("checksum {:08x}\n", crc32c::crc32c(covered)) {
        return Err(broken("its checksum does not match: it was cut, damaged or edited"));
    }
    let (first, fields) = lines.split_first().ok_or_else(|| broken("it has one line only"))?;
    let head = format!("replicated log {kind}, format ");
    let format = first.strip_prefix(&head).map(str::trim_end);
    let Some(format) = format else {
        return Err(Broken(format!("it is not the {kind} of a replicated log")));
    };
    if format != FORMAT.to_string() {
        let text = format!("it has format {format}, and this program reads format {FORMAT}");
        return Err(Broken(text));
    }
    let mut values = [""; N];
    for (place, name) in values.iter_mut().zip(names) {
        let found = fields
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.strip_suffix('\n'));
        *place = found.ok_or_else(|| Broken(format!("it has no {name}")))?;
    }
    Ok(values)
}

fn number(name: &str, text: &str, radix: u32) -> Result<u128, Broken> {
    u128::from_str_radix(text, radix).map_err(|_| Broken(format!("{name} {text:?} is no number")))
}

fn small(name: &str, text: &str, radix: u32) -> Result<u64, Broken> {
    let wide = number(name, text, radix)?;
    wide.try_into().map_err(|_| Broken(format!("{name} {text} is too large")))
}

impl Identity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (cluster, voters) = match self.cluster {
            Some((cluster, voters)) => (cluster.to_string(), voters),
            None => ("none".to_owned(), 0),
        };
        let fields = [
            ("replica", self.replica.to_string()),
            ("cluster", cluster),
            ("voters", voters.to_string()),
        ];
        seal(IDENTITY, &fields)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Identity, Broken> {
        let [replica, cluster, voters] = open(bytes, IDENTITY, ["replica", "cluster", "voters"])?;
        let cluster = match cluster {
            "none" => None,
            _ => {
                let id = ClusterId(number("cluster", cluster, 16)?);
                Some((id, small("voters", voters, 10)?))
            }
        };
        Ok(Identity { replica: ReplicaId(small("replica", replica, 16)?), cluster })
    }
}

/// What a replica voted, and its newest segment: if that is lost, nothing else would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Voted {
    pub(crate) vote: Vote,
    pub(crate) segment: u64,
}

pub(crate) fn encode_vote(voted: &Voted) -> Vec<u8> {
    let vote = &voted.vote;
    let fields = [
        ("segment", voted.segment.to_string()),
        ("term", vote.leader_id.term.to_string()),
        ("replica", ReplicaId(vote.leader_id.node_id).to_string()),
        ("committed", u8::from(vote.committed).to_string()),
    ];
    seal(VOTE, &fields)
}

pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Voted, Broken> {
    let names = ["segment", "term", "replica", "committed"];
    let [segment, term, replica, committed] = open(bytes, VOTE, names)?;
    let segment = small("segment", segment, 10)?;
    let (term, replica) = (small("term", term, 10)?, small("replica", replica, 16)?);
    let vote = match committed {
        "0" => Vote::new(term, replica),
        "1" => Vote::new_committed(term, replica),
        _ => return Err(Broken(format!("committed {committed:?} is neither 0 nor 1"))),
    };
    Ok(Voted { vote, segment })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back() {
        for cluster in [None, Some((ClusterId(u128::MAX), 3)), Some((ClusterId(0), 1))] {
            let identity = Identity { replica: ReplicaId(u64::MAX - 1), cluster };
            assert_eq!(Identity::decode(&identity.encode()), Ok(identity));
        }
        for vote in [Vote::default(), Vote::new(3, u64::MAX), Vote::new_committed(u64::MAX, 1)] {
            let voted = Voted { vote, segment: 9 };
            assert_eq!(decode_vote(&encode_vote(&voted)), Ok(voted));
        }
    }

    #[test]
    fn look_like_this() {
        let identity =
            Identity { replica: ReplicaId(0xab), cluster: Some((ClusterId(0xcd), 1)) }.encode();
        let text = String::from_utf8(identity).unwrap();
        assert_eq!(
            text,
            "replicated log identity, format 1\nreplica 00000000000000ab\n\
             cluster 000000000000000000000000000000cd\nvoters 1\nchecksum f34f256c\n"
        );
    }

    #[test]
    fn cut_or_flipped_at_every_byte_are_broken() {
        let identity = Identity { replica: ReplicaId(1), cluster: None }.encode();
        let vote = encode_vote(&Voted { vote: Vote::new(1, 2), segment: 1 });
        let read = |bytes: &[u8]| (Identity::decode(bytes).is_ok(), decode_vote(bytes).is_ok());
        for whole in [identity, vote] {
            for at in 0..whole.len() {
                assert_eq!(read(&whole[..at]), (false, false), "cut at {at}");
                for bit in 0..8 {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    assert_eq!(read(&bytes), (false, false), "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn one_is_not_the_other() {
        let vote = encode_vote(&Voted { vote: Vote::new(1, 2), segment: 1 });
        let error = Identity::decode(&vote).unwrap_err();
        assert_eq!(error.to_string(), "it is not the identity of a replicated log");
    }

    #[test]
    fn another_format_is_named() {
        let bytes = seal("vote", &[]);
        let text = String::from_utf8(bytes).unwrap().replace("format 1", "format 2");
        let body = &text[..text.find("checksum").unwrap()];
        let sealed = format!("{body}checksum {:08x}\n", crc32c::crc32c(body.as_bytes()));
        let error = decode_vote(sealed.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "it has format 2, and this program reads format 1");
    }
}
