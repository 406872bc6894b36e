// What a person decides on the page of a study: release it or not, and which content of an instance stays.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var REASON_CHARACTERS = 200;
  var SHOWN = 50; // conflicts that get a row of their own; the buttons for all are for all that are open
  var STYLE =
    '.deid-reject { width: 36em; max-width: 100%; }' +
    '.deid-reject label, .deid-reject input { display: block; width: 100%; box-sizing: border-box; font-size: 14px; }' +
    '.deid-reject input { margin: .3em 0; padding: .4em; }' +
    '.deid-hint { font-size: 12px; margin: 0 0 .8em; }';

  // Appends what can be decided to `at`. `on.changed(answer)`: the study as it is then; `on.failed(text)`: why not;
  // `on.look()`: something of it has changed.
  deid.showDecisions = function (at, study, answer, on) {
    if (answer.status === 'review') {
      at.append($('<div>').append(
        deid.button('Approve', function () { approve(study, on); }),
        deid.button('Reject …', function () { openReject(study, on); })));
    }
    if (answer.conflicts) {
      at.append($('<div>').attr('role', 'note').addClass('deid-line')
        .append($('<span>').text(counted(answer.conflicts)), ' ',
          deid.button('Decide …', function () { openConflicts(answer.source, on); })));
    }
  };

  function counted(count) {
    return count + (count === 1 ? ' instance' : ' instances') + ' came again with another content';
  }

  function approve(study, on) {
    if (window.confirm('Release this study? Its result is delivered to where its project says.')) {
      deid.ask('POST', pathOf(study) + '/approve', null, on.changed, function (status, text) {
        on.failed('not approved: ' + text);
      });
    }
  }

  function openReject(study, on) {
    var reason = $('<input>').attr({ type: 'text', id: 'deid-reason', maxlength: REASON_CHARACTERS })
      .attr({ autocomplete: 'off', 'aria-describedby': 'deid-reason-hint', 'data-role': 'none' });
    var line = $('<p>').attr('role', 'alert').addClass('deid-fault');
    var form = $('<form>').attr('data-ajax', 'false').addClass('deid-reject').append(
      $('<label>').attr('for', 'deid-reason').text('Why is it not released?'), reason,
      $('<p>').attr('id', 'deid-reason-hint').addClass('deid-hint')
        .text('Shown with the study and kept: no name, number or date of a patient. At most 200 characters.'),
      line, deid.button('Reject', null).attr('type', 'submit'));
    form.submit(function (event) {
      event.preventDefault();
      event.stopPropagation(); // jQuery Mobile sends forms of its own accord
      reject(study, $.trim(reason.val()), line, on);
    });
    deid.openDialog('Reject', form);
    $('#deid-dialog-close').appendTo(form);
    reason.focus();
  }

  function reject(study, reason, line, on) {
    if (!reason) {
      line.text('say why');
      return;
    }
    line.text('asking for it…');
    deid.ask('POST', pathOf(study) + '/reject', { reason: reason }, function (answer) {
      deid.closeDialog();
      on.changed(answer);
    }, function (status, text) { line.text('not rejected: ' + text); });
  }

  // Those of the study that are open, or decided and not carried out yet.
  function openConflicts(source, on) {
    var line = $('<p>').attr('role', 'status').text('asking what came again…');
    var list = $('<ul>').addClass('deid-rows');
    var all = $('<p>');
    deid.openDialog('Came again with another content', [line[0], all[0], list[0]]);
    deid.ask('GET', 'deid/conflicts?limit=1000&study=' + encodeURIComponent(source), null, function (found) {
      var rows = [];
      var decided = { look: function () {
        showForAll(all, rows, decided);
        on.look();
      } };
      $.each(found.items, function (_, conflict) {
        if (conflict.state === 'open' || conflict.state === 'replacing') {
          rows.push(rowOf(conflict, decided));
        }
      });
      $.each(rows.slice(0, SHOWN), function (_, row) { list.append(row.item); });
      line.text(wordsOf(rows.length));
      showForAll(all, rows, decided);
    }, function (status, text) { line.text(text); });
  }

  function wordsOf(count) {
    if (!count) {
      return 'everything is decided';
    }
    return counted(count) + ' than what is stored. Until it is decided what is stored stays, and the study does not' +
      ' begin by itself.' +
      (count > SHOWN ? ' The newest ' + SHOWN + ' are listed.' : '');
  }

  function rowOf(conflict, on) {
    var row = { conflict: conflict, item: $('<li>'), state: $('<span>').attr('role', 'status') };
    row.buttons = $('<div>');
    row.item.append(titleOf(conflict), $('<span>').text(aboutOf(conflict)), row.state, row.buttons);
    if (conflict.state === 'open') {
      row.buttons.append(
        deid.button('Keep what is stored', function () { decide([row], 'stored', on); }),
        deid.button('Take what came', function () { decide([row], 'arrived', on); }));
    } else {
      row.state.text('what came is about to be stored');
    }
    return row;
  }

  function titleOf(conflict) {
    var title = $('<b>');
    if (!conflict.attributes) {
      return title.text('what is stored is gone or cannot be read');
    }
    var url = '#instance?uuid=' + encodeURIComponent(conflict.instance);
    return title.text('differs in ' + conflict.attributes.join(', ') + ' from ')
      .append($('<a>').attr('href', url).text('what is stored'));
  }

  function aboutOf(conflict) {
    var about = ['came ' + deid.clock(conflict.at)];
    if (conflict.origin) {
      about.push('by ' + conflict.origin);
    }
    if (conflict.bytes) {
      about.push(deid.sizeOf({ size: conflict.bytes }));
    }
    return about.join(', ');
  }

  // What is for all that are open; drawn again when one was decided.
  function showForAll(at, rows, on) {
    var open = openOf(rows);
    at.empty();
    if (open.length > 1) {
      at.append('All ' + open.length + ': ',
        deid.button('Keep what is stored', function () { decide(open, 'stored', on); }),
        deid.button('Take what came', function () { decide(open, 'arrived', on); }));
    }
  }

  function openOf(rows) {
    return $.grep(rows, function (row) { return row.conflict.state === 'open'; });
  }

  var WARNINGS = {
    stored: 'What came is deleted. Keep what is stored?',
    arrived: 'What came replaces what is stored, and the study is de-identified and delivered anew. Take what came?'
  };

  // One after the other: a whole series may have come again.
  function decide(rows, keep, on) {
    var left = openOf(rows);
    function next() {
      var row = left.shift();
      if (!row) {
        on.look();
        return;
      }
      row.state.text('asking for it…');
      deid.ask('POST', 'deid/conflicts/' + row.conflict.id, { keep: keep }, function (conflict) {
        row.conflict = conflict;
        row.state.text(keep === 'stored' ? 'decided: what is stored stays' : 'decided: what came takes its place');
        row.buttons.empty();
        next();
      }, function (status, text) {
        row.state.text('not decided: ' + text);
        next();
      });
    }
    if (left.length && window.confirm((left.length > 1 ? left.length + ' instances: ' : '') + WARNINGS[keep])) {
      next();
    }
  }

  function pathOf(study) {
    return 'deid/studies/' + encodeURIComponent(study);
  }

  $('<style>').text(STYLE).appendTo('head');
}());
