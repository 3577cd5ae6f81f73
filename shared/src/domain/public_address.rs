//! IP addresses of single hosts on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A CIDR block: an address in it, and the number of bits that all of its addresses share with that address.
struct Block<A>(A, u32);

impl Block<Ipv4Addr> {
    fn contains(&self, address: Ipv4Addr) -> bool {
        (self.0.to_bits() ^ address.to_bits()).leading_zeros() >= self.1
    }
}

impl Block<Ipv6Addr> {
    fn contains(&self, address: Ipv6Addr) -> bool {
        (self.0.to_bits() ^ address.to_bits()).leading_zeros() >= self.1
    }
}

/// IPv4 blocks that IANA has reserved for special purposes, or whose addresses do not belong to single hosts.
const SPECIAL_V4: [Block<Ipv4Addr>; 18] = [
    Block(Ipv4Addr::UNSPECIFIED, 8),           // this network
    Block(Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    Block(Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by a provider's customers
    Block(Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    Block(Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, and the cloud's metadata
    Block(Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    Block(Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    Block(Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    Block(Ipv4Addr::new(192, 31, 196, 0), 24), // AS112
    Block(Ipv4Addr::new(192, 52, 193, 0), 24), // multicast tunnels
    Block(Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    Block(Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    Block(Ipv4Addr::new(192, 175, 48, 0), 24), // AS112
    Block(Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    Block(Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    Block(Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    Block(Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    Block(Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// IPv6 block of global unicast addresses.
const GLOBAL_V6: Block<Ipv6Addr> = Block(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks within [`GLOBAL_V6`] that have a special purpose.
const SPECIAL_V6: [Block<Ipv6Addr>; 5] = [
    Block(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    Block(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    Block(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    Block(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    Block(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address belongs to a single host on the public internet; `false` if that is not certain.
///
/// Always `false` for an IPv6 address that embeds an IPv4 address, even a public one: a gateway translates
/// it, and we do not know to what.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|block| block.contains(address)),
        IpAddr::V6(address) => {
            let is_isatap = matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]);
            GLOBAL_V6.contains(address)
                && !SPECIAL_V6.iter().any(|block| block.contains(address))
                && !is_isatap
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    /// IANA's special-purpose registries as IANA publishes them, with entries up to April 2025:
    /// <https://www.iana.org/assignments/iana-ipv4-special-registry/> and the same for IPv6.
    const REGISTRY_V4: &str = include_str!("../../../tests/data/iana-ipv4-special-registry.csv");
    const REGISTRY_V6: &str = include_str!("../../../tests/data/iana-ipv6-special-registry.csv");

    type Range = RangeInclusive<u128>;

    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn range(first: impl Into<IpAddr>, prefix: u32) -> Range {
        let first = first.into();
        let width = if first.is_ipv4() { 32 } else { 128 };
        bits(first)..=bits(first) + (1 << (width - prefix)) - 1
    }

    fn parse(block: &str) -> Range {
        let (address, prefix) = block.split_once('/').unwrap();
        range(address.parse::<IpAddr>().unwrap(), prefix.parse().unwrap())
    }

    /// Reads the address blocks in the first column of a registry. A cell may contain two blocks, and
    /// footnotes.
    fn registry(csv: &str) -> Vec<Range> {
        // A record's continuation lines are indented.
        let records = csv.lines().skip(1).filter(|line| !line.starts_with(' '));
        let column = |line: &str| match line.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap().to_owned(),
            None => line.split(',').next().unwrap().to_owned(),
        };
        let mut ranges = Vec::new();
        for column in records.map(column) {
            ranges.extend(column.split(", ").map(|block| parse(block.split(' ').next().unwrap())));
        }
        ranges
    }

    /// Sorts ranges, and merges those that overlap or adjoin.
    fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        merged
    }

    fn registered_v4() -> Vec<Range> {
        let mut ranges = registry(REGISTRY_V4);
        ranges.push(parse("224.0.0.0/4")); // multicast has a registry of its own
        merged(ranges)
    }

    fn registered_v6() -> Vec<Range> {
        let mut ranges = registry(REGISTRY_V6);
        // RFC 4291: every global unicast address assigned so far is in this network.
        let global = parse("2000::/3");
        ranges.push(0..=global.start() - 1);
        ranges.push(global.end() + 1..=u128::MAX);
        merged(ranges)
    }

    /// Returns the first and the last address of each range, and the addresses just before and after them, up
    /// to `most`.
    fn edges(ranges: &[Range], most: u128) -> impl Iterator<Item = u128> {
        ranges
            .iter()
            .flat_map(|range| [*range.start(), *range.end()])
            .flat_map(|edge| [edge.saturating_sub(1), edge, edge.saturating_add(1)])
            .filter(move |edge| *edge <= most)
    }

    fn v4(bits: u128) -> Ipv4Addr {
        Ipv4Addr::from_bits(bits.try_into().unwrap())
    }

    fn holds(ranges: &[Range], bits: u128) -> bool {
        ranges.iter().any(|range| range.contains(&bits))
    }

    /// Returns IPv6 addresses that embed an IPv4 address, one for each way to do so: mapped, compatible,
    /// translated (NAT64, well-known and local prefix), 6to4, Teredo (as the server, and inverted as the
    /// client), ISATAP (local and global).
    fn embeddings(address: Ipv4Addr) -> [Ipv6Addr; 9] {
        let [a, b, c, d] = address.octets();
        let [high, low] = [[a, b], [c, d]].map(u16::from_be_bytes);
        let at_end = |[a, b, c, d, e, f]: [u16; 6]| Ipv6Addr::new(a, b, c, d, e, f, high, low);
        [
            address.to_ipv6_mapped(),
            at_end([0, 0, 0, 0, 0, 0]),
            at_end([0x64, 0xff9b, 0, 0, 0, 0]),
            at_end([0x64, 0xff9b, 1, 0, 0, 0]),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
            Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0xf227, !high, !low),
            at_end([0x2606, 0x4700, 0, 0, 0, 0x5efe]),
            at_end([0x2606, 0x4700, 0, 0, 0x200, 0x5efe]),
        ]
    }

    #[test]
    fn the_registries_are_read_whole() {
        assert_eq!(registry(REGISTRY_V4).len(), 26);
        assert_eq!(registry(REGISTRY_V6).len(), 25);
        assert_eq!(parse("10.0.0.0/8"), 0x0a00_0000..=0x0aff_ffff);
        assert_eq!(parse("192.0.0.8/32"), 0xc000_0008..=0xc000_0008);
        assert_eq!(*parse("fc00::/7").end(), (0xfdff << 112) | (u128::MAX >> 16));
        assert_eq!(parse("::1/128"), 1..=1);
    }

    /// Compares the blocks as ranges, and thereby covers all 2^32 IPv4 and 2^128 IPv6 addresses.
    #[test]
    fn the_blocks_are_those_of_the_registries() {
        let own_v4 = SPECIAL_V4.iter().map(|block| range(block.0, block.1)).collect();
        assert_eq!(merged(own_v4), registered_v4());

        let global = range(GLOBAL_V6.0, GLOBAL_V6.1);
        let mut own_v6: Vec<_> = SPECIAL_V6.iter().map(|block| range(block.0, block.1)).collect();
        own_v6.extend([0..=global.start() - 1, global.end() + 1..=u128::MAX]);
        assert_eq!(merged(own_v6), registered_v6());
    }

    #[test]
    fn at_every_edge_the_answer_is_the_registries() {
        let registered = registered_v4();
        let mut public = 0;
        for bits in edges(&registered, u32::MAX.into()) {
            assert_eq!(is_public(v4(bits).into()), !holds(&registered, bits), "{}", v4(bits));
            public += usize::from(is_public(v4(bits).into()));
            for embedded in embeddings(v4(bits)) {
                assert!(!is_public(embedded.into()), "{embedded}");
            }
        }
        assert!(public > 20, "{public}");

        let registered = registered_v6();
        for bits in edges(&registered, u128::MAX) {
            let address = Ipv6Addr::from_bits(bits);
            assert_eq!(is_public(address.into()), !holds(&registered, bits), "{address}");
        }
    }

    #[test]
    fn well_known_hosts_are_public_and_their_embeddings_are_not() {
        for public in
            ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450::1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for embedded in embeddings(Ipv4Addr::new(8, 8, 8, 8)) {
            assert!(!is_public(embedded.into()), "{embedded}");
        }
        for near in
            ["2606:4700::1:5efe:808:808", "2606:4700::5eff:808:808", "2606:4700::300:5efe:0:1"]
        {
            assert!(is_public(near.parse().unwrap()), "{near}");
        }
    }

    /// Checks each of the 2^32 addresses, and each of its embeddings. To run it optimised, with this file alone:
    ///
    /// ```sh
    /// rustc -O --edition 2024 --test shared/src/domain/public_address.rs -o target/every_address
    /// target/every_address --ignored
    /// ```
    #[test]
    #[ignore = "takes three minutes, optimised; the blocks and their edges are compared in every run, above"]
    fn every_address_is_judged_as_the_registries_say() {
        let registered = registered_v4();
        let half = |from: u64, to: u64| {
            let mut public = 0_u64;
            for bits in from..to {
                let address = Ipv4Addr::from_bits(u32::try_from(bits).unwrap());
                let expected = !holds(&registered, bits.into());
                assert_eq!(is_public(address.into()), expected, "{address}");
                for embedded in embeddings(address) {
                    assert!(!is_public(embedded.into()), "{embedded}");
                }
                public += u64::from(expected);
            }
            public
        };
        let public = std::thread::scope(|scope| {
            let first = scope.spawn(|| half(0, 1 << 31));
            half(1 << 31, 1 << 32) + first.join().unwrap()
        });
        assert_eq!(public, 3_702_257_664);
    }
}
