use proptest::prelude::*;

use super::*;

fn span(text: &str) -> Result<Timespan, UnitError> {
    text.parse()
}

#[test]
fn reads_every_unit_of_time() {
    let nanos = |text: &str| span(text).unwrap().0.as_nanos();
    assert_eq!(nanos("7ns"), 7);
    assert_eq!(nanos("250us"), 250_000);
    assert_eq!(nanos("300ms"), 300_000_000);
    assert_eq!(nanos("1.5s"), 1_500_000_000);
    assert_eq!(nanos("2m"), 120_000_000_000);
    assert_eq!(nanos("1h"), 3_600_000_000_000);
    assert_eq!(nanos("28d"), 2_419_200_000_000_000);
}

#[test]
fn never_rounds_a_value_to_nothing() {
    let error = span("0.4ns").unwrap_err().to_string();
    assert!(error.contains("0.4ns") && error.contains("finer than a nanosecond"), "{error}");
}

#[test]
fn refuses_what_is_no_span_and_says_what_is() {
    for text in
        ["", "5", "ms", "-5s", "+5s", "5 s", "5S", "1e3s", ".5s", "5.s", "1m30s", "11y", "4000d", "٣s"]
    {
        let error = span(text).unwrap_err().to_string();
        assert!(error.contains("such as 300ms"), "{text}: {error}");
    }
}

#[test]
fn reads_sizes_in_both_systems() {
    let bytes = |text: &str| text.parse::<Size>().unwrap().0;
    assert_eq!(bytes("512B"), 512);
    assert_eq!(bytes("16KiB"), 16_384);
    assert_eq!(bytes("1.5MiB"), 1_572_864);
    assert_eq!(bytes("2kB"), 2_000);
    assert!("0.3B".parse::<Size>().is_err());
    assert!("1KB".parse::<Size>().is_err());
}

#[test]
fn reads_rates_over_any_span() {
    let rate = |text: &str| text.parse::<Rate>().unwrap();
    assert_eq!(rate("100/s"), Rate::per_second(100));
    assert_eq!(rate("3/10s"), Rate { count: 3, per: Duration::from_secs(10) });
    assert_eq!(rate("5000/m").per, Duration::from_secs(60));
    assert_eq!(rate("10000000/s").count, 10_000_000);
}

#[test]
fn refuses_rates_that_cannot_be_meant() {
    for text in ["100", "1.5/s", "/s", "100/", "100/0s", "10000001/s", "1/ns", "-1/s", "1/x", "1//s"] {
        let error = text.parse::<Rate>().unwrap_err().to_string();
        assert!(error.contains("such as 100/s"), "{text}: {error}");
    }
}

#[test]
fn reads_shares_up_to_the_whole() {
    assert_eq!("0.1%".parse(), Ok(Percent { millionths: 1_000 }));
    assert_eq!("100%".parse(), Ok(Percent::WHOLE));
    assert_eq!("99.95%".parse(), Ok(Percent { millionths: 999_500 }));
    for text in ["50", "100.0001%", "0.00001%", "%", "-1%"] {
        assert!(text.parse::<Percent>().is_err(), "{text}");
    }
}

#[test]
fn prints_the_shortest_spelling() {
    assert_eq!(span("60s").unwrap().to_string(), "1m");
    assert_eq!(span("90s").unwrap().to_string(), "90s");
    assert_eq!(span("0ms").unwrap().to_string(), "0s");
    assert_eq!(Size(16_384).to_string(), "16KiB");
    assert_eq!(Size(0).to_string(), "0B");
    assert_eq!("100/1s".parse::<Rate>().unwrap().to_string(), "100/s");
    assert_eq!("3/10s".parse::<Rate>().unwrap().to_string(), "3/10s");
    assert_eq!("99.950%".parse::<Percent>().unwrap().to_string(), "99.95%");
}

#[test]
fn a_bare_number_is_told_to_take_a_unit() {
    let error = serde_json::from_str::<Timespan>("300").unwrap_err().to_string();
    assert!(error.contains("a number needs a unit, such as 300ms"), "{error}");
    let error = serde_json::from_str::<Percent>("0.5").unwrap_err().to_string();
    assert!(error.contains("a number needs a unit, such as 50%"), "{error}");
    assert!(serde_json::from_str::<Rate>("-4").is_err());
}

#[test]
fn a_share_of_a_count_rounds_down() {
    assert_eq!(Percent::whole(50).of(5), 2);
    assert_eq!(Percent::WHOLE.of(u64::MAX), u64::MAX);
    assert_eq!(Rate::per_second(3).count_in(Duration::from_millis(999)), 2);
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(nanos in 0u64..=315_360_000_000_000_000, bytes in any::<u64>(), count in 1u64..=10_000_000, share in 0u32..=1_000_000) {
        let span = Timespan(Duration::from_nanos(nanos));
        prop_assert_eq!(span.to_string().parse(), Ok(span));
        prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        let rate = Rate { count, per: Duration::from_nanos(nanos.max(1_000_000_000)) };
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        let share = Percent { millionths: share };
        prop_assert_eq!(share.to_string().parse(), Ok(share));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = (text.parse::<Timespan>(), text.parse::<Size>(), text.parse::<Rate>(), text.parse::<Percent>());
    }
}
