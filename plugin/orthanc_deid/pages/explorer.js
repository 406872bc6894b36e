// The entries on the study, series and instance page of Orthanc Explorer; the state of the study is below them.
// Loaded into Orthanc Explorer by main.py; jQuery 1.7 and jQuery Mobile 1.1 are Orthanc Explorer's.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var POLL_MS = 2000, POLL_MOST_MS = 15000;
  var LOOK_ON_MS = 60000; // after a decision: what follows from it begins a little later
  var END_STATES = ['done', 'quarantined', 'failed', 'rejected', 'cancelled', 'ignored'];
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
  var STYLE =
    '.deid-note { white-space: normal; overflow-wrap: anywhere; font-weight: normal; font-size: 12px; }' +
    '.deid-note:not(:empty) { padding: 0 40px .7em 15px; }';

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
      list.append(deid.makeState(page));
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
    deid.clearState(page);
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
      function () { deid.say(mine.page, 'this ' + mine.page + ' is not known'); });
  }

  function process(mine) {
    if (!mine.answer || !mine.answer.awaited || deid.confirmIncomplete(mine.answer.awaited)) {
      deid.say(mine.page, 'asking for it…');
      order(mine, 'process', 'not started: ');
    }
  }

  // A POST whose answer is the study; it is shown, or why not.
  function order(mine, verb, otherwise) {
    deid.tell(mine.page, '');
    deid.ask('POST', pathOf(mine.study) + '/' + verb, null, function (answer) {
      showIfInView(mine, answer);
    }, function (status, text) { fail(mine, otherwise + text); });
  }

  // Why something was not done stays until something else is asked for; the state goes on beside it.
  function fail(mine, text) {
    if (mine === view) {
      deid.tell(mine.page, text);
      look(mine);
    }
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
      deid.say(mine.page, status === 404 ? 'not processed yet' : text);
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
    mine.answer = answer;
    showEntries(mine.page, isResult);
    if (mine.page !== 'instance') {
      deid.showState(mine.page, mine.study, answer, doings(mine));
      deid.showDeliveries(answer);
    }
    if (mine.page !== 'instance' && (isMoving(answer) || $.now() < mine.lookUntil)) {
      later(mine);
    }
  }

  // What the state lets a person do, and what follows.
  function doings(mine) {
    return {
      order: function (verb, otherwise) { order(mine, verb, otherwise); },
      sendAgain: function (destination) { sendAgain(mine, destination); },
      changed: function (answer) {
        deid.tell(mine.page, '');
        showIfInView(mine, answer);
      },
      failed: function (text) { fail(mine, text); },
      look: function () {
        lookOn(mine);
        look(mine);
      }
    };
  }

  function isMoving(answer) {
    return $.inArray(answer.status, END_STATES) === -1 || answer.conflicts > 0;
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

  function sendAgain(mine, destination) {
    deid.tell(mine.page, '');
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
