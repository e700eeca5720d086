//! Why a byte stream is not a request we are willing to read.

/// A framing or syntax fault. The connection cannot be read any further: answer, then close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// A CR that is not followed by LF (RFC 9112 §2.2).
    BareCr,
    /// A LF that is not preceded by CR.
    BareLf,
    /// More than one empty line before a request line.
    EmptyLines,
    /// Not `method SP target SP HTTP/d.d`.
    RequestLine,
    /// The method is not a token.
    Method,
    /// The target has an illegal byte or none of the four forms (RFC 9112 §3.2).
    Target,
    /// The request line alone exceeds the head's size.
    TargetTooLong,
    /// A protocol version other than 1.0 and 1.1.
    Version,
    /// The head, or the trailer section, is larger than allowed.
    HeadTooLarge,
    /// More fields than allowed.
    TooManyFields,
    /// A field line that begins with white space: obs-fold (RFC 9112 §5.2).
    Folded,
    /// A field name that is empty, not a token, or followed by white space before its colon.
    FieldName,
    /// A field value with NUL or another control character.
    FieldValue,
    /// A field such as `content_length`, which some servers read as `Content-Length`.
    Lookalike,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// Host is not `host[:port]`.
    Host,
    /// Host differs from the authority of an absolute-form target.
    HostMismatch,
    /// Content-Length is not a plain number, or is too large.
    ContentLength,
    /// More than one Content-Length, even if equal.
    ContentLengthRepeated,
    /// Transfer-Encoding is anything but `chunked`, once.
    TransferEncoding,
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1).
    TransferEncodingInOldVersion,
    /// Content-Length together with Transfer-Encoding.
    LengthAndEncoding,
    /// More than one Content-Type.
    ContentTypeRepeated,
    /// Upgrade on a request that has a body.
    UpgradeWithBody,
    /// CONNECT with a body.
    ConnectWithBody,
    /// Expect is anything but `100-continue`.
    Expectation,
    /// A chunk size that is not hexadecimal, is too large, or has anything but `;` behind it.
    ChunkSize,
    /// A chunk extension that is too long or not `;name[=value]`.
    ChunkExtension,
    /// Chunk data that is not followed by CRLF.
    ChunkEnd,
    /// A field that must not stand in a trailer section (RFC 9110 §6.5.1).
    TrailerField,
}

impl Malformed {
    /// A short, fixed name for logs, metrics and `Proxy-Status` details.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BareCr => "bare_cr",
            Self::BareLf => "bare_lf",
            Self::EmptyLines => "empty_lines",
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::Folded => "folded_field",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::Lookalike => "lookalike_field",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::Host => "host",
            Self::HostMismatch => "host_mismatch",
            Self::ContentLength => "content_length",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::TransferEncoding => "transfer_encoding",
            Self::TransferEncodingInOldVersion => "transfer_encoding_in_1_0",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::ContentTypeRepeated => "content_type_repeated",
            Self::UpgradeWithBody => "upgrade_with_body",
            Self::ConnectWithBody => "connect_with_body",
            Self::Expectation => "expectation",
            Self::ChunkSize => "chunk_size",
            Self::ChunkExtension => "chunk_extension",
            Self::ChunkEnd => "chunk_end",
            Self::TrailerField => "trailer_field",
        }
    }

    /// The status to answer with, before the connection is closed.
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::Version => 505,
            _ => 400,
        }
    }
}
