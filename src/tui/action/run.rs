//! From an action to its handler: one exhaustive match, so that an action without one does not compile.

use super::{
    Action, again, app, attach, cards, conversations, files, find, fitting, graft, jobs, keep, keeping, models, panes, prompts, queue,
    screens, set, settings, talk, templates, tools, tree,
};
use crate::tui::layout::Way;
use crate::tui::model::Model;
use crate::tui::msg::Cmd;
use crate::tui::overlay::labels::Sort;
use crate::tui::pane::{Call, Seek, chat, composer, conversations as list, table, tree as tree_pane};
use crate::tui::perform;
use crate::tui::text::width::drawable;

/// Does it.
pub fn run(model: &mut Model, call: &Call<'_>) {
    let focus = model.shared.focus;
    model.with_pane(focus, |pane, cx| pane.refresh(cx));
    let text = call.args.first().map_or("", String::as_str);
    let times = isize::try_from(call.times()).unwrap_or(isize::MAX);
    match call.action {
        Action::Edit(edit) if attach::backspace(model, edit) => {}
        Action::Edit(edit) => {
            let outcome = model.shared.composer.borrow_mut().edit(edit, call.count);
            talk::edited(model, outcome);
        }
        Action::Write => talk::write(model),
        Action::Send => talk::send(model),
        Action::Newline => {
            let outcome = model.shared.composer.borrow_mut().newline();
            talk::edited(model, outcome);
        }
        Action::NormalMode => {
            model.shared.composer.borrow_mut().enter_normal();
            model.mark(composer::ID);
            model.mark_status();
        }
        Action::OpenEditor => talk::editor(model),
        Action::Attach => attach::attach(model, text),
        Action::Detach => attach::detach(model, call.args.first()),
        Action::PasteExpand => attach::expand(model, call.args.first()),
        Action::History => prompts::open(model, call.args.first()),
        Action::MessageTemplates => templates::list(model, call.args.first()),
        Action::TemplateSave => templates::save(model, text),
        Action::TemplateFrom => templates::save_conversation(model, text),
        Action::NewFrom => templates::new_from(model, call.args.first()),
        Action::Stop => talk::stop(model),
        Action::Cancel => talk::cancel(model),
        Action::EditMessage => talk::edit(model, true),
        Action::EditSave => talk::edit(model, false),
        Action::Retry => talk::retry(model, None),
        Action::RetryWith => talk::retry_with(model, call),
        Action::TitleByModel => conversations::title(model),
        Action::TryNow => again::try_now(model),
        Action::Continue => talk::carry_on(model),
        Action::ToolAnswer => tools::answer(model),
        Action::Details => tools::details(model),
        Action::Queue => queue::show(model),
        Action::Request => talk::request(model),
        Action::System => talk::system(model, call.args.first()),
        Action::Set => set::set(model, call.args),
        Action::Parameters => settings::open(model, call.args.first()),
        Action::ModelParameters => settings::open_model(model, call),
        Action::Templates => {
            let models = model.models_at_hand();
            settings::templates(model, models);
        }
        Action::GroupTemplate => settings::group_template(model, call.args),
        Action::Preset => settings::preset(model, call.args.first()),
        Action::PresetNext => settings::preset_next(model, false),
        Action::PresetPrevious => settings::preset_next(model, true),
        Action::PresetSave => settings::save(model, call.args),
        Action::PresetEdit => settings::open_preset(model, call.args.first()),
        Action::PresetDelete => settings::delete(model, call.args.first().map_or("", String::as_str)),
        Action::PresetExport => settings::export(model, call.args),
        Action::PresetImport => settings::import(model, call.args.first().map_or("", String::as_str)),
        Action::SiblingPrevious => tree::sibling(model, -times),
        Action::SiblingNext => tree::sibling(model, times),
        Action::SiblingGo => tree::sibling_go(model, call.count),
        Action::ChatHalfDown | Action::ChatHalfUp | Action::ChatPageDown | Action::ChatPageUp | Action::CopyCode | Action::CodeBlocks => {
            to_pane(model, chat::ID, call);
        }
        Action::Attachments => files::show(model),
        Action::LastMessage => talk::to_last_message(model),
        Action::Undo => keep::undo(model, false),
        Action::Redo => keep::undo(model, true),
        Action::RateUp => keep::rate(model, 1),
        Action::RateDown => keep::rate(model, -1),
        Action::React => keep::react(model, call.args.first()),
        Action::Bookmark => keep::bookmark(model, call.args.first()),
        Action::BookmarkRemove => keep::bookmark_remove(model),
        Action::Bookmarks => keep::bookmarks(model),
        Action::MarkSet => keep::mark_set(model, text),
        Action::MarkJump => keep::mark_jump(model, text),
        Action::Marks => keep::marks(model),
        Action::BranchRename => tree::rename(model, call.args),
        Action::ArchiveBranch => tree::archive(model),
        Action::Fork => graft::fork(model),
        Action::GraftCopy => graft::take(model, false),
        Action::GraftMove => graft::take(model, true),
        Action::Graft => graft::put(model, call.args.first()),
        Action::Branch => tree::branch(model, call.args.first()),
        Action::Switch => tree::switch(model, call),
        Action::ModelChoose => models::choose(model, call.args.first()),
        Action::ModelStart => fitting::start(model, call),
        Action::ModelStop => models::stop(model, call),
        Action::ModelReload => models::reload(model, call),
        Action::ModelUpdate => models::update(model, call),
        Action::ModelRemove => models::remove(model, call),
        Action::ModelCopy => models::copy(model, text),
        Action::Inspect => models::inspect(model, call),
        Action::FitShow => fitting::show(model, call),
        Action::Favourite => cards::favourite(model, call),
        Action::Groups => cards::labels(model, Sort::Group),
        Action::GroupAdd => cards::label(model, Sort::Group, text, true),
        Action::GroupRemove => cards::label(model, Sort::Group, text, false),
        Action::Tags => cards::labels(model, Sort::Tag),
        Action::TagAdd => cards::label(model, Sort::Tag, text, true),
        Action::TagRemove => cards::label(model, Sort::Tag, text, false),
        Action::Note => cards::note(model, call),
        Action::ModelHide => cards::hide(model, call),
        Action::ModelPin => cards::pin(model, call),
        Action::Pull => jobs::pull(model, call.args),
        Action::Pulls => jobs::pulls(model),
        Action::Jobs => jobs::show(model),
        // From anywhere they mean the table, which comes into view.
        Action::ShowArchived => {
            model.focus(tree_pane::ID);
            to_pane(model, tree_pane::ID, call);
        }
        Action::Sort | Action::GroupBy | Action::Columns | Action::ShowHidden => {
            model.focus(table::ID);
            to_pane(model, table::ID, call);
        }
        Action::Filter => cards::filter(model, call.args.first()),
        Action::FilterSave => cards::filter_save(model, text),
        Action::FilterDelete => cards::filter_delete(model, text),
        Action::PullStarter => models::pull_starter(model, call.args.first()),
        Action::OpenFile => models::open_file(model, call.args.first().map_or("", String::as_str)),
        Action::BackendAdd => models::backend_add(model, call.args),
        Action::Refresh => models::refresh(model),
        Action::New => conversations::new(model),
        Action::Open => conversations::open_named(model, call.args.first().map_or("", String::as_str)),
        Action::Rename => conversations::rename(model, call.args.first()),
        Action::Pin => keeping::pin(model),
        Action::Archive => keeping::archive(model),
        Action::Delete => keeping::bin(model),
        Action::Restore => keeping::restore(model),
        Action::EmptyBin => keeping::empty_bin(model),
        Action::Move => keeping::to_folder(model, call),
        Action::Tag => keeping::tag(model, call.args.first()),
        Action::Duplicate => keeping::duplicate(model),
        Action::FolderNew => keeping::folder_new(model, text),
        Action::FolderSave => keeping::folder_save(model, text),
        Action::FolderTemplate => keeping::folder_template(model, call.args.first()),
        // From anywhere it means the list, which comes into view.
        Action::Order => {
            model.focus(list::ID);
            to_pane(model, list::ID, call);
        }
        Action::Copy => {
            if !to_pane(model, model.shared.focus, call) {
                talk::copy_message(model);
            }
        }
        Action::ListDown
        | Action::ListUp
        | Action::ListTop
        | Action::ListBottom
        | Action::HalfDown
        | Action::HalfUp
        | Action::PageDown
        | Action::PageUp
        | Action::ScreenTop
        | Action::ScreenMiddle
        | Action::ScreenBottom
        | Action::Activate
        | Action::Fold
        | Action::FoldIn
        | Action::FoldOut
        | Action::LineDown
        | Action::LineUp
        | Action::MakeHead
        | Action::TreeParent
        | Action::TreeChild
        | Action::Hoist
        | Action::Mark
        | Action::MarkAll
        | Action::Visual => {
            to_pane(model, model.shared.focus, call);
        }
        Action::Find => find::find(model, call.args.first()),
        Action::FindNext => find::seek(model, Seek::Next, call.times()),
        Action::FindPrevious => find::seek(model, Seek::Previous, call.times()),
        Action::FindScope => find::find_scope(model),
        Action::Search => find::search(model, call.args.first()),
        Action::JumpBack => conversations::jump(model, call.times(), true),
        Action::JumpForward => conversations::jump(model, call.times(), false),
        Action::Palette => find::open_palette(model),
        Action::CommandLine => find::open_line(model, ""),
        Action::Help => find::open_help(model, call.args.first()),
        Action::PaneNext => panes::cycle(model, times),
        Action::PanePrevious => panes::cycle(model, -times),
        Action::FocusLeft => panes::go(model, Way::Left),
        Action::FocusDown => panes::go(model, Way::Down),
        Action::FocusUp => panes::go(model, Way::Up),
        Action::FocusRight => panes::go(model, Way::Right),
        Action::Focus => panes::focus(model, call.args.first().map_or("", String::as_str)),
        Action::Screen => screens::go(model, call.args.first().map_or("", String::as_str)),
        Action::ScreenNext => screens::next(model, call.count),
        Action::ScreenPrevious => screens::cycle(model, -times),
        Action::PaneZoom => panes::zoom(model),
        Action::PaneHide => panes::hide(model, call.args.first()),
        Action::PaneShow => panes::show(model, call.args.first().map_or("", String::as_str)),
        Action::PaneWider | Action::PaneNarrower | Action::PaneTaller | Action::PaneShorter => {
            panes::resize(model, call.action, call.times())
        }
        Action::LayoutReset => panes::reset(model),
        Action::Close => app::close(model),
        Action::Accept => {
            to_pane(model, model.shared.focus, &Call { action: Action::Activate, args: call.args, count: call.count });
        }
        Action::Complete => talk_complete(model, false),
        Action::CompleteBack => talk_complete(model, true),
        // These mean something in a line or an overlay only; elsewhere there is nothing to do.
        Action::HistoryPrevious | Action::HistoryNext | Action::CodeSave | Action::CodePipe | Action::MoveDown | Action::MoveUp => {}
        Action::SendBeside => {}
        Action::Again | Action::Halt | Action::GiveUp | Action::Forget => {}
        Action::SettingDefault | Action::SettingHistory | Action::SettingReload | Action::RunOpen => {}
        Action::Notices => app::notices(model),
        Action::Theme => app::theme(model, call.args.first()),
        Action::Keymap => app::keymap(model, call.args.first()),
        Action::Redraw => {
            model.cmds.push(Cmd::Repaint);
            model.mark_all();
        }
        Action::Suspend => app::suspend(model),
        Action::Quit => app::quit(model),
    }
}

/// Gives an action to a pane. Returns whether it meant something there.
pub fn to_pane(model: &mut Model, id: &'static str, call: &Call<'_>) -> bool {
    let Some(outcome) = model.with_pane(id, |pane, cx| pane.act(call, cx)) else { return false };
    let done = outcome.done;
    model.mark(id);
    model.mark_status();
    perform::outcome(model, outcome);
    done
}

/// Tab while writing: the path or the command before the cursor is completed.
fn talk_complete(model: &mut Model, back: bool) {
    if model.shared.composer.borrow_mut().complete_next(back) {
        return talk::draft_changed(model);
    }
    if attach::complete_path(model, back) {
        return;
    }
    // Only a command at the beginning of the message is completed; any other text is the writer's own.
    let text = model.shared.composer.borrow().text();
    match text.starts_with('/') && !text.contains('\n') {
        true => templates::complete(model, back),
        false => model.say("Nothing to complete here."),
    }
}

/// The same, with the templates that there are.
pub fn complete_slash(model: &mut Model, back: bool, templates: Vec<(String, String)>) {
    let text = model.shared.composer.borrow().text();
    let Some(line) = text.strip_prefix('/').filter(|line| !line.contains('\n')) else { return };
    let token = model.shared.composer.borrow().token();
    let names = find::names(model);
    let (start, candidates) = crate::tui::command_line::candidates(line, &names.lists());
    // What a candidate replaces and what the composer completes must begin at the same place.
    let end = line.len() - token.trim_start_matches('/').len().min(line.len() - start);
    let head = line.get(start..end).unwrap_or_default();
    let slash = if token.starts_with('/') { "/" } else { "" };
    let own = templates.into_iter().filter(|(name, _)| token.starts_with('/') && name.starts_with(line) && name != line);
    let commands = candidates.into_iter().filter_map(|c| Some((c.text.strip_prefix(head)?.to_owned(), c.about)));
    let mut items: Vec<(String, String)> = own.chain(commands).map(|(name, about)| (format!("{slash}{name}"), about)).collect();
    if items.is_empty() {
        return model.say("Nothing to complete here.");
    }
    if back {
        items.reverse();
    }
    let told = items.iter().take(8).map(|(name, about)| format!("{} {}", drawable(name), drawable(about))).collect::<Vec<_>>().join(" · ");
    let outcome = model.shared.composer.borrow_mut().complete(items.into_iter().map(|(name, _)| name).collect());
    talk::edited(model, outcome);
    model.say(told);
}
