// Lists of rows with text and buttons that are shown again and again, as pages of Orthanc Explorer have them.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var STYLE =
    '.deid-row { white-space: normal; overflow-wrap: anywhere; font-weight: normal; font-size: 13px; }' +
    '.deid-row b, .deid-row a { font-size: 14px; font-weight: bold; }' +
    '.deid-row div { margin-top: .3em; }' +
    '.deid-row button { margin: .2em .4em 0 0; cursor: pointer; }' +
    '.deid-row progress { width: 100%; max-width: 30em; }';

  // Shows rows in a list of jQuery Mobile. A row has a key, and a divider or: title, url, lines, progress (how many of
  // how many), actions (verb, text and run, which is given where to say why not).
  // Rows that are as they were stay untouched, and a button as long as its row has it: whoever stands on it keeps it.
  deid.fill = function (list, rows) {
    var known = list.data('rows') || {}, kept = {}, items = [];
    $.each(rows, function (_, row) {
      var shown = kept[row.key] = known[row.key] || makeRow();
      draw(shown, row);
      items.push(shown.item[0]);
    });
    list.data('rows', kept);
    if (!isSame(list.children().get(), items)) {
      $.each(known, function (key, shown) {
        if (!kept[key]) {
          shown.item.remove();
        }
      });
      list.append(items);
      list.listview('refresh');
    }
  };

  function isSame(these, those) {
    return these.length === those.length &&
      $.grep(these, function (each, index) { return each !== those[index]; }).length === 0;
  }

  function makeRow() {
    var row = { item: $('<li>'), text: $('<div>'), buttons: $('<div>') };
    row.fault = $('<div>').attr('role', 'alert').addClass('deid-fault');
    return row;
  }

  function draw(shown, row) {
    if (row.divider) {
      if (shown.item.text() !== row.divider) {
        shown.item.attr('data-role', 'list-divider').text(row.divider);
      }
      return;
    }
    if (!shown.item.children().length) {
      shown.item.append($('<div>').addClass('deid-row').append(shown.text, shown.buttons, shown.fault));
    }
    drawIfChanged(shown.text, [row.title, row.url, row.lines, row.progress], function (at) { drawText(at, row); });
    drawIfChanged(shown.buttons, verbsOf(row), function (at) {
      $.each(row.actions || [], function (_, action) {
        at.append(deid.button(action.text, function () { action.run(shown.fault); })
          .attr('aria-label', action.text + ': ' + row.title));
      });
    });
  }

  function verbsOf(row) {
    return $.map(row.actions || [], function (action) { return action.verb; });
  }

  function drawIfChanged(at, content, drawAnew) {
    var told = JSON.stringify(content);
    if (at.data('told') !== told) {
      drawAnew(at.empty().data('told', told));
    }
  }

  // What comes from the service is set as text: nothing of it becomes HTML.
  function drawText(at, row) {
    if (row.title) {
      at.append(row.url ? $('<a>').attr('href', row.url).text(row.title) : $('<b>').text(row.title));
    }
    if (row.progress && row.progress[1]) {
      at.append($('<div>').append($('<progress>').attr({ value: row.progress[0], max: row.progress[1] })
        .attr('aria-label', row.lines[0])));
    }
    $.each(row.lines, function (_, line) {
      if (line) {
        at.append($('<div>').text(line));
      }
    });
  }

  $('<style>').text(STYLE).appendTo('head');
}());
