//! The formats, each written a second time from its description: root, statement, contents, messages, and stored forms.

#[path = "formats/commitment.rs"]
mod commitment;
#[path = "formats/forms.rs"]
mod forms;
#[path = "formats/messages.rs"]
mod messages;
#[path = "formats/statement.rs"]
mod statement;
