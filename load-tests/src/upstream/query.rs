//! The few numbers a scripted path takes in its query.

use hyper::Uri;

/// The value of `name` in the query as a number, or `default` where there is none or it is not one.
pub(crate) fn number(uri: &Uri, name: &str, default: u64) -> u64 {
    uri.query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_number_among_others() {
        let uri = Uri::from_static("/slow-body?chunks=3&gap=20");
        assert_eq!(number(&uri, "gap", 100), 20);
    }

    #[test]
    fn falls_back_where_it_is_absent_or_not_a_number() {
        let uri = Uri::from_static("/slow-body?gap=fast");
        assert_eq!(number(&uri, "gap", 100), 100);
        assert_eq!(number(&uri, "chunks", 5), 5);
    }
}
