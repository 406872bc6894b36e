// The windows over a page of Orthanc Explorer: any, where a result is to be sent, and a picture.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var dialog = null; // the one that is open
  var rows = {}; // of the send dialog: destination to what shows its state
  var STYLE =
    '#deid-dialog { max-width: 90vw; max-height: 90vh; overflow: auto; padding: 1em; box-sizing: border-box; }' +
    '#deid-dialog::backdrop { background: rgba(0, 0, 0, .5); }' +
    '#deid-dialog h1 { font-size: 16px; margin: 0 0 .6em; outline: none; }' +
    '#deid-dialog button { margin: .2em .4em .2em 0; cursor: pointer; }' +
    '.deid-picture { max-height: 70vh; overflow: auto; margin-bottom: .6em; }' +
    '.deid-picture img { max-width: 100%; display: block; }' +
    '#deid-dialog p { max-width: 36em; }' +
    '.deid-rows { list-style: none; padding: 0; margin: 0 0 1em; width: 36em; max-width: 100%; }' +
    '.deid-rows li { border-top: 1px solid #ccc; padding: .6em 0; overflow: hidden; overflow-wrap: anywhere; }' +
    '.deid-rows span { display: block; font-size: 13px; overflow-wrap: anywhere; }' +
    '.deid-destinations button { float: right; }' +
    '.deid-fault { color: #a00000; margin: .3em 0; }' +
    '.deid-fault:empty { display: none; }';

  deid.button = function (text, click) {
    return $('<button>').attr({ type: 'button', 'data-role': 'none' }).text(text).click(click);
  };

  // The browser's own dialog: it keeps the focus inside, closes by Escape and gives the focus back.
  deid.openDialog = function (title, content) {
    deid.closeDialog();
    // It gets the focus: what is in the dialog may come later.
    var heading = $('<h1>').attr({ id: 'deid-dialog-title', tabindex: -1, autofocus: 'autofocus' }).text(title);
    var close = deid.button('Close', deid.closeDialog).attr('id', 'deid-dialog-close');
    var mine = $('<dialog>').attr({ id: 'deid-dialog', 'aria-labelledby': 'deid-dialog-title' })
      .addClass('ui-body-c ui-corner-all ui-overlay-shadow').append(heading).append(content).append(close)
      .appendTo('body');
    mine.bind('close', function () { forget(mine); });
    dialog = mine;
    if (mine[0].showModal) {
      mine[0].showModal();
    } else {
      mine.attr('open', 'open');
    }
  };

  deid.closeDialog = function () {
    if (!dialog) {
      return;
    }
    var mine = dialog;
    if (mine[0].close) {
      mine[0].close();
    }
    forget(mine);
  };

  function forget(mine) {
    mine.find('img').each(function () { URL.revokeObjectURL(this.src); });
    mine.remove();
    if (dialog === mine) {
      dialog = null;
      rows = {};
    }
  }

  deid.showPicture = function (title, blob, name) {
    var image = $('<img>').attr({ src: URL.createObjectURL(blob), alt: title });
    var save = deid.button('Save as ' + name, function () { deid.save(blob, name); });
    deid.openDialog(title, [$('<div>').addClass('deid-picture').append(image)[0], save[0]]);
  };

  // Lists the destinations; `changed` is given what the service says of the study after one was chosen.
  deid.openSend = function (study, answer, changed) {
    var list = $('<ul>').addClass('deid-rows deid-destinations');
    var line = $('<p>').attr('role', 'status').text('asking for the destinations…');
    deid.openDialog('Send to …', [line[0], list[0]]);
    deid.ask('GET', 'deid/destinations', null, function (found) {
      line.text(found.items.length ? '' : 'no destination is configured');
      rows = {};
      $.each(found.items, function (_, destination) {
        list.append(rowOf(destination, study, changed));
      });
      deid.showDeliveries(answer);
    }, function (status, text) { line.text(text); });
  };

  function rowOf(destination, study, changed) {
    var state = $('<span>').attr('role', 'status');
    var row = rows[destination.name] = { state: state, delivery: null };
    row.button = deid.button('Send', function () { send(destination.name, row, study, changed); })
      .attr('aria-label', 'Send to ' + destination.name);
    return $('<li>').append(
      row.button, $('<b>').text(destination.name), $('<span>').text(aboutOf(destination)), state);
  }

  function aboutOf(destination) {
    var about = [destination.kind];
    if (destination.paused) {
      about.push('paused: nothing is sent until it is let go on');
    } else if (destination.opens_in_s > 0) {
      about.push('its time window opens in ' + Math.ceil(destination.opens_in_s / 60) + ' min');
    }
    return about.join('; ');
  }

  function send(name, row, study, changed) {
    var anew = !!row.delivery && row.delivery.state === 'confirmed';
    if (anew && !window.confirm(name + ' has confirmed this study. Send all of it once more?')) {
      return;
    }
    row.state.text('asking for it…');
    deid.send(study, name, anew, function (answer) {
      row.told = null;
      changed(answer);
      deid.showDeliveries(answer);
    }, function (text) { row.state.text('not sent: ' + text); });
  }

  deid.send = function (study, name, anew, success, failure) {
    var wanted = anew ? { destination: name, anew: true } : { destination: name };
    deid.ask('POST', 'deid/studies/' + encodeURIComponent(study) + '/export', wanted, success,
      function (status, text) { failure(text); });
  };

  // Brings the send dialog up to date; nothing where it is not open.
  deid.showDeliveries = function (answer) {
    $.each(rows, function (name, row) {
      var delivery = $.grep(answer.deliveries || [], function (each) { return each.destination === name; })[0];
      var told = delivery ? deid.describe(delivery) : 'not sent to it';
      row.delivery = delivery;
      row.button.text({ confirmed: 'Send once more', failed: 'Send again' }[delivery && delivery.state] || 'Send');
      if (told !== row.told) { // else why it was not sent would be gone with the next look
        row.told = told;
        row.state.text(told);
      }
    });
  };

  // One delivery in words, from its state, reason and times.
  deid.describe = function (delivery) {
    var words = delivery.state;
    if (delivery.state === 'confirmed' && delivery.confirmed) {
      words += ', ' + delivery.confirmed + (delivery.confirmed === 1 ? ' instance' : ' instances');
    } else if (delivery.state === 'sent') {
      words += ', not confirmed yet';
    }
    if (delivery.reason) {
      words += ': ' + delivery.reason;
    }
    if (delivery.next_attempt_at) {
      words += '; next attempt at ' + deid.clock(delivery.next_attempt_at);
    }
    return words;
  };

  // A time of REST on the clock of whoever looks, with the date where that is not today's.
  deid.clock = function (text) {
    var at = new Date(text);
    return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString() : at.toLocaleString();
  };

  $('<style>').text(STYLE).appendTo('head');
}());
