// The entries on the study, series and instance page of Orthanc Explorer, and the state of the study below them.
// Loaded into Orthanc Explorer by main.py; jQuery 1.7 and jQuery Mobile 1.1 are Orthanc Explorer's.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var POLL_MS = 2000, POLL_MOST_MS = 15000;
  var LOOK_ON_MS = 60000; // after a decision: what follows from it begins a little later
  var AT_WORK = ['queued', 'deidentifying', 'verifying', 'converting', 'exporting'];
  var END_STATES = ['done', 'quarantined', 'failed', 'rejected', 'cancelled', 'ignored'];
  var STOPPED = ['quarantined', 'failed', 'cancelled'];
  // Those of a result; `inParts`: the answer can be large, and the service gives parts of it.
  var ENTRIES = {
    study: [
      { name: 'nifti', text: 'NIfTI', icon: 'arrow-d', path: 'nifti', inParts: true },
      { name: 'bids', text: 'BIDS', icon: 'arrow-d', path: 'bids', inParts: true },
      { name: 'dicomdir', text: 'DICOMDIR', icon: 'arrow-d', path: 'dicomdir', inParts: true },
      { name: 'send', text: 'Send to …', icon: 'forward', run: openSend }
    ],
    series: [
      { name: 'nifti', text: 'NIfTI', icon: 'arrow-d', path: 'nifti', inParts: true },
      { name: 'sheet', text: 'Contact sheet', icon: 'search', path: 'contact-sheet', picture: 'Contact sheet' },
      { name: 'pictures', text: 'PNG (ZIP)', icon: 'arrow-d', path: 'png', inParts: true }
    ],
    instance: [
      { name: 'png', text: 'PNG', icon: 'arrow-d', path: 'png' },
      { name: 'jpeg', text: 'JPEG', icon: 'arrow-d', path: 'jpeg' }
    ]
  };
  var PATHS = { study: 'studies', series: 'series', instance: 'instances' };
  var RESULT = { study: 'this study is the result', series: 'this series is of the result' };
  var STYLE =
    '.deid-note { white-space: normal; overflow-wrap: anywhere; font-weight: normal; font-size: 12px; }' +
    '.deid-note:not(:empty) { padding: 0 40px .7em 15px; }' +
    '.deid-state { white-space: normal; overflow-wrap: anywhere; }' +
    '.deid-state [role=listitem] { font-weight: normal; font-size: 12px; margin-top: .4em; }' +
    '.deid-state .deid-line { font-weight: normal; font-size: 12px; margin-top: .4em; }' +
    '.deid-state button { margin: .3em .4em 0 0; cursor: pointer; }';

  // What is in view: page, uuid, study, answer and what to end with it. An answer that comes when another is in view
  // is not for it; a conversion goes on in the service, and is there when it is asked for again.
  var view = null;

  function addList(page) {
    var list = $('<ul>').attr({ id: page + '-deid-list', 'data-role': 'listview', 'data-inset': 'true' })
      .attr({ 'data-theme': 'd', 'data-divider-theme': 'c' })
      .append($('<li>').attr('data-role', 'list-divider').text('De-identification'));
    if (page !== 'instance') {
      list.append(entryOf(page, 'deid', 'De-identify', 'gear', process));
    }
    $.each(ENTRIES[page], function (_, entry) {
      var run = entry.run || function (mine, note) { fetchFile(mine, entry, note); };
      list.append(entryOf(page, 'deid-' + entry.name, entry.text, entry.icon, run).addClass('deid-of-result'));
    });
    if (page !== 'instance') {
      list.append($('<li>').addClass('deid-state').append(
        $('<div>').attr({ id: page + '-deid-state', role: 'status' }),
        $('<div>').attr({ id: page + '-deid-fault', role: 'alert' }).addClass('deid-fault deid-line'),
        $('<div>').attr('id', page + '-deid-actions'),
        $('<div>').attr({ id: page + '-deid-deliveries', role: 'list', 'aria-live': 'polite' })));
    }
    $('#' + page + '-delete').closest('ul').after(list);
  }

  // What it says of itself stands in the entry, below its link.
  function entryOf(page, name, text, icon, run) {
    var note = $('<div>').addClass('deid-note').attr({ id: page + '-' + name + '-note', role: 'status' });
    var link = $('<a>').attr({ href: '#', id: page + '-' + name }).text(text).click(function (event) {
      event.preventDefault();
      if (view && view.study) {
        run(view, note);
      }
    });
    return $('<li>').attr('data-icon', icon).append(link, note);
  }

  function begin(page) {
    end();
    var uuid = $.mobile.pageData && $.mobile.pageData.uuid;
    reset(page);
    if (uuid) {
      view = { page: page, uuid: uuid, wait: POLL_MS, stops: {} };
      withStudy(view, look);
    }
  }

  function end() {
    if (view) {
      window.clearTimeout(view.timer);
      $.each(view.stops, function (_, stop) { stop(); });
    }
    view = null;
    deid.closeDialog();
  }

  function reset(page) {
    $('#' + page + '-deid-list .deid-note').empty();
    $('#' + page + '-deid-actions, #' + page + '-deid-deliveries').empty().removeData('told');
    say(page, '…');
    tell(page, '');
    showEntries(page, false);
  }

  // A series and an instance are processed with their whole study.
  function withStudy(mine, callback) {
    function found(study) {
      if (mine === view) {
        mine.study = study;
        callback(mine);
      }
    }
    if (mine.page === 'study') {
      found(mine.uuid);
      return;
    }
    deid.ask('GET', PATHS[mine.page] + '/' + encodeURIComponent(mine.uuid) + '/study', null,
      function (study) { found(study.ID); },
      function () { say(mine.page, 'this ' + mine.page + ' is not known'); });
  }

  function process(mine) {
    if (!mine.answer || !mine.answer.awaited || window.confirm(incomplete(mine.answer.awaited))) {
      say(mine.page, 'asking for it…');
      order(mine, 'process', 'not started: ');
    }
  }

  function incomplete(awaited) {
    return (awaited.expected === null ? 'It is not known whether all of it is here' :
      awaited.present + ' of ' + awaited.expected + ' instances are here') + '. De-identify what is here now?';
  }

  // A POST whose answer is the study; it is shown, or why not.
  function order(mine, verb, otherwise) {
    tell(mine.page, '');
    deid.ask('POST', pathOf(mine.study) + '/' + verb, null, function (answer) {
      showIfInView(mine, answer);
    }, function (status, text) { fail(mine, otherwise + text); });
  }

  // Why something was not done stays until something else is asked for; the state goes on beside it.
  function fail(mine, text) {
    if (mine === view) {
      tell(mine.page, text);
      look(mine);
    }
  }

  function tell(page, text) {
    $('#' + page + '-deid-fault').text(text);
  }

  function look(mine) {
    deid.ask('GET', pathOf(mine.study), null, function (answer) {
      if (mine === view) {
        show(mine, answer);
      }
    }, function (status, text) {
      if (mine !== view) {
        return;
      }
      say(mine.page, status === 404 ? 'not processed yet' : text);
      if (status !== 404) {
        later(mine);
      }
    });
  }

  function showIfInView(mine, answer) {
    if (mine === view) {
      lookOn(mine);
      show(mine, answer);
    }
  }

  function lookOn(mine) {
    mine.wait = POLL_MS;
    mine.lookUntil = $.now() + LOOK_ON_MS;
  }

  function show(mine, answer) {
    var isResult = answer.output === mine.study;
    var state = stateOf(answer);
    mine.answer = answer;
    showEntries(mine.page, isResult);
    if (mine.page !== 'instance') {
      say(mine.page, !isResult ? state : RESULT[mine.page] + (answer.status === 'done' ? '' : '; ' + state));
      showActions(mine, answer, isResult);
      showDeliveries(mine, answer);
      deid.showDeliveries(answer);
    }
    if (mine.page !== 'instance' && (isMoving(answer) || $.now() < mine.lookUntil)) {
      later(mine);
    }
  }

  function isMoving(answer) {
    return $.inArray(answer.status, END_STATES) === -1 || answer.conflicts > 0;
  }

  // `213 of 240 instances, waiting until 14:20` says its state by itself.
  function stateOf(answer) {
    if (answer.status === 'waiting' && /, waiting until /.test(answer.reason)) {
      return answer.reason;
    }
    return answer.status + (answer.reason ? ': ' + answer.reason : '');
  }

  // Pages of an identified study have no entry that gives anything out; those of a result are not processed again.
  function showEntries(page, isResult) {
    var list = $('#' + page + '-deid-list');
    list.find('.deid-of-result').toggle(isResult);
    $('#' + page + '-deid').closest('li').toggle(!isResult);
    list.toggle(isResult || page !== 'instance');
    if (list.is(':visible')) {
      list.listview('refresh'); // the corners
    }
  }

  // What comes from the service is set as text: nothing of it becomes HTML.
  function say(page, text) {
    var line = $('#' + page + '-deid-state');
    if (line.text() !== 'De-identification: ' + text) { // else it would be read out at each look
      line.text('De-identification: ' + text);
    }
  }

  function showActions(mine, answer, isResult) {
    var at = $('#' + mine.page + '-deid-actions');
    redraw(at, [mine.study, answer.status, answer.output, !!answer.next_attempt_at, answer.conflicts], function () {
      if (answer.output && !isResult) {
        at.append(linkTo(answer.output), ' ');
      }
      var isAtWork = $.inArray(answer.status, AT_WORK) !== -1;
      if ($.inArray(answer.status, STOPPED) !== -1 || (isAtWork && answer.next_attempt_at)) {
        at.append(deid.button(isAtWork ? 'Try now' : 'Try again', function () {
          order(mine, 'retry', 'not tried again: ');
        }));
      }
      if (isAtWork) {
        at.append(deid.button('Cancel', function () { cancel(mine); }));
      }
      deid.showDecisions(at, mine.study, answer, {
        changed: function (changed) {
          tell(mine.page, '');
          showIfInView(mine, changed);
        },
        failed: function (text) { fail(mine, text); },
        look: function () {
          lookOn(mine);
          look(mine);
        }
      });
    });
  }

  function cancel(mine) {
    if (window.confirm('Stop working on this study? What was sent already stays where it is.')) {
      order(mine, 'cancel', 'not cancelled: ');
    }
  }

  function linkTo(study) {
    // jQuery Mobile ignores a link from the study page to the study page: another query makes it another document.
    var url = 'explorer.html?' + $.now() + '#study?uuid=' + encodeURIComponent(study);
    return $('<a>').attr({ href: url, rel: 'external' }).text('open the result');
  }

  function showDeliveries(mine, answer) {
    var at = $('#' + mine.page + '-deid-deliveries');
    redraw(at, [mine.study, answer.deliveries], function () {
      $.each(answer.deliveries || [], function (_, delivery) {
        var line = $('<div>').attr('role', 'listitem')
          .append($('<span>').text(delivery.destination + ': ' + deid.describe(delivery)));
        if (delivery.state === 'failed') {
          line.append(' ', deid.button('Send again', function () { sendAgain(mine, delivery.destination); })
            .attr('aria-label', 'Send again to ' + delivery.destination));
        }
        at.append(line);
      });
    });
  }

  // Nothing is drawn again that is as it was: whoever stands on a button would lose it.
  function redraw(at, content, draw) {
    var told = JSON.stringify(content);
    if (at.data('told') !== told) {
      at.empty().data('told', told);
      draw();
    }
  }

  function sendAgain(mine, destination) {
    tell(mine.page, '');
    deid.send(mine.study, destination, false, function (answer) {
      showIfInView(mine, answer);
    }, function (text) { fail(mine, 'not sent again: ' + text); });
  }

  function openSend(mine) {
    deid.openSend(mine.study, mine.answer, function (answer) { showIfInView(mine, answer); });
  }

  function fetchFile(mine, entry, note) {
    if (mine.stops[entry.name]) {
      return; // it is under way
    }
    mine.stops[entry.name] = deid.getFile('deid/' + PATHS[mine.page] + '/' + encodeURIComponent(mine.uuid) + '/' +
      entry.path, entry.inParts, {
      progress: function (text) { note.text(text); },
      done: function (blob, name) {
        delete mine.stops[entry.name];
        note.text((entry.picture ? '' : 'saved: ') + name + ', ' + deid.sizeOf(blob));
        if (entry.picture) {
          deid.showPicture(entry.picture, blob, name);
        } else {
          deid.save(blob, name);
        }
      },
      failed: function (text) {
        delete mine.stops[entry.name];
        note.text(text);
      }
    });
  }

  // Soon while much happens; a destination that is down for a day is not asked about twice a second.
  function later(mine) {
    window.clearTimeout(mine.timer);
    mine.timer = window.setTimeout(function () { look(mine); }, mine.wait);
    mine.wait = Math.min(mine.wait * 1.2, POLL_MOST_MS);
  }

  function pathOf(study) {
    return 'deid/studies/' + encodeURIComponent(study);
  }

  $('<style>').text(STYLE).appendTo('head');
  $.each(ENTRIES, function (page) {
    $(document).on('pagebeforecreate', '#' + page, function () { addList(page); });
    $(document).on('pagebeforeshow', '#' + page, function () { begin(page); });
    $(document).on('pagehide', '#' + page, function () {
      if (view && view.page === page) { // it comes after the next page was begun
        end();
      }
    });
  });
  // From one study to another jQuery Mobile shows no other page.
  $(document).on('pagechange', function () {
    if (view && $.mobile.pageData && view.page === $.mobile.pageData.active && view.uuid !== $.mobile.pageData.uuid) {
      begin(view.page);
    }
  });
}());
