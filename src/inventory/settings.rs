//! Stock settings: the opening stock of an item, and how often it is restocked. See `docs/reference/stock.md`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use thiserror::Error;

use crate::domain::EventTime;
use crate::units::WrittenNumber;

/// The default opening stock. With the defaults of the workload a few items sell out.
pub const DEFAULT_OPENING_STOCK: OpeningStock = OpeningStock::Units(100);

/// The default restock interval.
pub const DEFAULT_RESTOCK_EVERY: Duration = Duration::from_hours(1);

/// The units of an item when it is first ordered, and after each restock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningStock {
    /// This number of units.
    Units(u64),
    /// Reserved units are counted, and no order is rejected.
    Unlimited,
}

/// The settings of a ledger. A ledger must not be continued with other settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockSettings {
    #[serde(rename = "opening_stock")]
    opening: OpeningStock,
    #[serde(rename = "restock_every_ms", deserialize_with = "at_least_one")]
    restock_every_millis: i64,
}

/// Why a text or a duration is not a valid stock setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StockSettingsError {
    /// The opening stock is neither a number nor `unlimited`.
    #[error("expected a whole number of units or `unlimited`")]
    OpeningStock,
    /// The restock interval is not a positive, representable number of whole milliseconds.
    #[error("expected a whole number of milliseconds from 1ms to 10000y")]
    RestockEvery,
}

impl StockSettings {
    /// Validates the settings.
    ///
    /// # Errors
    ///
    /// When `restock_every` is zero, has a fraction of a millisecond, or exceeds `i64::MAX` milliseconds.
    pub fn new(opening: OpeningStock, restock_every: Duration) -> Result<Self, StockSettingsError> {
        let restock_every_millis = i64::try_from(restock_every.as_millis())
            .ok()
            .filter(|&millis| millis > 0 && restock_every.subsec_nanos().is_multiple_of(1_000_000))
            .ok_or(StockSettingsError::RestockEvery)?;
        Ok(Self { opening, restock_every_millis })
    }

    /// The opening stock, which a restock restores.
    #[must_use]
    pub const fn opening(&self) -> OpeningStock {
        self.opening
    }

    /// The length of a period of event time.
    #[must_use]
    pub const fn restock_every(&self) -> Duration {
        Duration::from_millis(self.restock_every_millis.unsigned_abs())
    }

    /// The period of an instant of stream time, rounded toward minus infinity.
    #[must_use]
    pub const fn period(&self, stream_time: EventTime) -> i64 {
        stream_time.millis().div_euclid(self.restock_every_millis)
    }

    /// The JSON in the position record.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::json!({ "opening_stock": self.opening, "restock_every_ms": self.restock_every_millis })
    }

    /// Reads the JSON of a position record.
    ///
    /// # Errors
    ///
    /// When this version cannot read the settings.
    pub fn from_value(kept: &Value) -> serde_json::Result<Self> {
        Self::deserialize(kept)
    }

    /// Whether a ledger with the settings `kept` may be continued with these.
    #[must_use]
    pub fn agree_with(&self, kept: &Value) -> bool {
        Self::from_value(kept).is_ok_and(|kept| kept == *self)
    }
}

impl Default for StockSettings {
    fn default() -> Self {
        Self { opening: DEFAULT_OPENING_STOCK, restock_every_millis: 60 * 60 * 1000 }
    }
}

impl fmt::Display for StockSettings {
    /// As command-line flags.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = humantime::format_duration(self.restock_every()).to_string().replace(' ', "");
        write!(f, "--opening-stock {} --restock-every {every}", self.opening)
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let millis = i64::deserialize(deserializer)?;
    if millis > 0 { Ok(millis) } else { Err(D::Error::custom(StockSettingsError::RestockEvery)) }
}

/// Unlimited stock on the command line and in the position record.
const UNLIMITED: &str = "unlimited";

impl FromStr for OpeningStock {
    type Err = StockSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UNLIMITED {
            return Ok(Self::Unlimited);
        }
        let units = WrittenNumber::parse(text).and_then(|number| number.whole());
        units.map(Self::Units).ok_or(StockSettingsError::OpeningStock)
    }
}

impl fmt::Display for OpeningStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(units) => units.fmt(f),
            Self::Unlimited => UNLIMITED.fmt(f),
        }
    }
}

impl Serialize for OpeningStock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Units(units) => serializer.serialize_u64(*units),
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
        }
    }
}

impl<'de> Deserialize<'de> for OpeningStock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Json {
            Units(u64),
            Text(String),
        }
        match Json::deserialize(deserializer) {
            Ok(Json::Units(units)) => Ok(Self::Units(units)),
            Ok(Json::Text(text)) if text == UNLIMITED => Ok(Self::Unlimited),
            _ => Err(D::Error::custom(StockSettingsError::OpeningStock)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn opening_stock_is_a_number_or_unlimited() {
        for (text, opening) in [
            ("0", OpeningStock::Units(0)),
            ("18446744073709551615", OpeningStock::Units(u64::MAX)),
            ("unlimited", OpeningStock::Unlimited),
        ] {
            assert_eq!(text.parse(), Ok(opening));
            assert_eq!(opening.to_string(), text);
        }
        assert_eq!("1.5k".parse(), Ok(OpeningStock::Units(1_500)));
        for text in ["", "-1", "+1", "1.5", "18446744073709551616", "Unlimited", " 1"] {
            assert_eq!(text.parse::<OpeningStock>(), Err(StockSettingsError::OpeningStock), "{text:?}");
        }
    }

    #[test]
    fn settings_round_trip_through_json() {
        let limited = StockSettings::default();
        assert_eq!(limited.to_value().to_string(), r#"{"opening_stock":100,"restock_every_ms":3600000}"#);
        assert_eq!(serde_json::to_value(limited).expect("serializes"), limited.to_value());
        let unlimited = StockSettings::new(OpeningStock::Unlimited, Duration::from_millis(1)).expect("valid");
        assert_eq!(unlimited.to_value().to_string(), r#"{"opening_stock":"unlimited","restock_every_ms":1}"#);
        for settings in [limited, unlimited] {
            assert_eq!(StockSettings::from_value(&settings.to_value()).expect("reads"), settings);
            assert!(settings.agree_with(&settings.to_value()));
        }
        assert!(!limited.agree_with(&unlimited.to_value()));
        assert!(
            limited.agree_with(&json!({"restock_every_ms": 3_600_000, "opening_stock": 100})),
            "the order of fields does not matter"
        );
    }

    #[test]
    fn invalid_json_never_agrees() {
        let settings = StockSettings::default();
        for kept in [
            json!(null),
            json!({}),
            json!({"opening_stock": 100}),
            json!({"opening_stock": "100", "restock_every_ms": 3_600_000}),
            json!({"opening_stock": 100.0, "restock_every_ms": 3_600_000}),
            json!({"opening_stock": 100, "restock_every_ms": 0}),
            json!({"opening_stock": 100, "restock_every_ms": 3_600_000, "surge": 2}),
        ] {
            assert!(StockSettings::from_value(&kept).is_err(), "{kept}");
            assert!(!settings.agree_with(&kept), "{kept}");
        }
    }

    #[test]
    fn the_interval_is_in_whole_milliseconds() {
        for bad in [Duration::ZERO, Duration::from_micros(1500), Duration::MAX] {
            assert_eq!(
                StockSettings::new(DEFAULT_OPENING_STOCK, bad),
                Err(StockSettingsError::RestockEvery),
                "{bad:?}"
            );
        }
        let default = StockSettings::new(DEFAULT_OPENING_STOCK, DEFAULT_RESTOCK_EVERY).expect("valid");
        assert_eq!(default, StockSettings::default());
        assert_eq!(default.restock_every(), DEFAULT_RESTOCK_EVERY);
    }

    #[test]
    fn settings_are_shown_as_flags() {
        let settings = StockSettings::new(OpeningStock::Unlimited, Duration::from_millis(5_400_250)).expect("valid");
        assert_eq!(settings.to_string(), "--opening-stock unlimited --restock-every 1h30m250ms");
        assert_eq!(StockSettings::default().to_string(), "--opening-stock 100 --restock-every 1h");
        assert_eq!(humantime::parse_duration("1h30m250ms").expect("parses"), settings.restock_every());
    }
}
