//! What a push says, typed: every kind of message and event that WeChat documents or is known to send.

use serde::Serialize;

use super::event::{
    Authorization, ConsentEntry, FollowOrigin, MassSendResult, MenuLocation, MenuPictures,
    SendStatus, SentEntry, Verification,
};
use crate::wechat::fields::Fields;

/// The content of a push. Texts that are missing are empty; what only some pushes have is optional.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A text message.
    Text {
        /// The text, never trimmed.
        content: String,
        /// The entry that was tapped in a menu message (`msgmenu`), where the text was not written but chosen.
        #[serde(skip_serializing_if = "Option::is_none")]
        menu_id: Option<String>,
    },
    /// A picture.
    Image {
        /// Where it can be fetched.
        pic_url: String,
        /// Its id among the account's temporary media.
        media_id: String,
    },
    /// A voice message.
    Voice {
        /// Its media id.
        media_id: String,
        /// `amr`, `speex`…
        format: String,
        /// What was recognised in it, where the account has recognition.
        #[serde(skip_serializing_if = "Option::is_none")]
        recognition: Option<String>,
    },
    /// A video.
    Video {
        /// Its media id.
        media_id: String,
        /// The media id of its thumbnail.
        thumb_media_id: String,
    },
    /// A short video taken in the chat.
    ShortVideo {
        /// Its media id.
        media_id: String,
        /// The media id of its thumbnail.
        thumb_media_id: String,
    },
    /// A place the user sent.
    Location {
        /// Degrees north.
        latitude: Option<f64>,
        /// Degrees east.
        longitude: Option<f64>,
        /// The zoom of the map.
        scale: Option<f64>,
        /// The name of the place.
        label: String,
    },
    /// A link.
    Link {
        /// Its title.
        title: String,
        /// Its description.
        description: String,
        /// Its address.
        url: String,
    },
    /// A file. WeChat does not document this message, but sends it.
    File {
        /// The file's name.
        title: String,
        /// Its description.
        description: String,
        /// Its key.
        file_key: String,
        /// Its MD5.
        file_md5: String,
        /// Its length in bytes.
        file_total_len: Option<i64>,
    },
    /// A card of a mini-program.
    MiniProgramPage {
        /// Its title.
        title: String,
        /// The mini-program.
        app_id: String,
        /// The page in it.
        page_path: String,
        /// Where its picture can be fetched.
        thumb_url: String,
        /// The media id of its picture.
        thumb_media_id: String,
    },
    /// The user follows the account now.
    Subscribe {
        /// How the user came.
        origin: FollowOrigin,
        /// The ticket of the QR code, for fetching its picture.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
    },
    /// The user does not follow the account any more. May arrive more than once.
    Unsubscribe,
    /// A follower scanned a QR code of the account.
    Scan {
        /// The scene of the code.
        scene: String,
        /// The ticket of the QR code.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
    },
    /// Where the user is, reported while the chat is open.
    LocationReport {
        /// Degrees north.
        latitude: Option<f64>,
        /// Degrees east.
        longitude: Option<f64>,
        /// Metres.
        precision: Option<f64>,
    },
    /// A menu button with a key.
    Click {
        /// The key.
        key: String,
    },
    /// A menu button with a link.
    View {
        /// The link.
        url: String,
        /// Which menu, where the account has several.
        #[serde(skip_serializing_if = "Option::is_none")]
        menu_id: Option<String>,
    },
    /// A menu button that opens a mini-program.
    ViewMiniProgram {
        /// The page.
        page_path: String,
        /// Which menu, where the account has several.
        #[serde(skip_serializing_if = "Option::is_none")]
        menu_id: Option<String>,
    },
    /// A menu button that scans a code (`scancode_push`, `scancode_waitmsg`).
    MenuScanCode {
        /// The button's key.
        key: String,
        /// `qrcode`, `barcode`…
        scan_type: String,
        /// What the code says.
        scan_result: String,
    },
    /// A menu button that sends pictures (`pic_sysphoto`, `pic_photo_or_album`, `pic_weixin`).
    MenuPictures(MenuPictures),
    /// A menu button that sends a place (`location_select`).
    MenuLocation(MenuLocation),
    /// What became of a template message. [`super::Push::msg_id`] is the id the send was answered with.
    TemplateSendJobFinish {
        /// Delivered or not, and why not.
        status: SendStatus,
    },
    /// What became of a mass message.
    MassSendJobFinish(MassSendResult),
    /// The user opened the mini-program's customer service.
    UserEnterTempSession {
        /// What the page's button said.
        session_from: String,
    },
    /// The user answered a consent pop-up for subscription messages.
    SubscribeMsgPopup {
        /// One entry per template.
        entries: Vec<ConsentEntry>,
    },
    /// The user changed the consent later, in the settings. WeChat pushes refusals only.
    SubscribeMsgChange {
        /// One entry per template.
        entries: Vec<ConsentEntry>,
    },
    /// What became of subscription messages.
    SubscribeMsgSent {
        /// One entry per message.
        entries: Vec<SentEntry>,
    },
    /// The user changed name or picture.
    UserInfoModified(Authorization),
    /// The user withdrew an authorization.
    UserAuthorizationRevoke(Authorization),
    /// The user deleted the WeChat account: the user's data is to be deleted.
    UserAuthorizationCancellation(Authorization),
    /// How the verification of the account itself stands.
    AccountVerification(Verification),
    /// A push of WeChat's debugging tool.
    DebugDemo {
        /// The text entered there.
        debug_str: String,
    },
    /// Anything else, kept whole.
    Unknown {
        /// All fields of the push.
        fields: Fields<'static>,
    },
}
