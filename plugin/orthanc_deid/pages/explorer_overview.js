// The page "De-identification" of Orthanc Explorer: what waits for a person, batches, sources.
// The start page leads to it.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var PAGE = 'deid-overview';
  var POLL_MS = 5000;
  var MOST = 20; // studies of one state that are listed
  var BATCHES = 10;
  var STATES = [
    { status: 'review', text: 'In review', advice: 'approved or rejected on its page' },
    { status: 'quarantined', text: 'Quarantined', advice: 'nothing of it leaves until it is tried again' },
    { status: 'failed', text: 'Failed', advice: 'tried again on its page' },
    { status: 'waiting', text: 'Waiting', advice: '' }
  ];
  var FOR_A_PERSON = ['review', 'quarantined', 'failed'];
  var ROWS_ENDED_NOT = ['queued', 'working'];
  var STYLE =
    '#deid-overview li { white-space: normal; overflow-wrap: anywhere; }' +
    '#deid-overview .deid-row { font-weight: normal; font-size: 13px; }' +
    '#deid-overview .deid-row b, #deid-overview .deid-row a { font-size: 14px; font-weight: bold; }' +
    '#deid-overview .deid-row div { margin-top: .3em; }' +
    '#deid-overview button { margin: .2em .4em 0 0; cursor: pointer; }' +
    '#deid-overview progress { width: 100%; max-width: 30em; }';
  var round = null; // of questions while the page is in view: what comes for an earlier one is dropped
  var timer = null;

  function build() {
    // The bar on top is that of the start page, whichever version of Orthanc this is.
    var bar = $('#lookup > [data-role=header]').clone();
    bar.find('h1').contents().not('.orthanc-name').remove();
    bar.find('h1').append(document.createTextNode('De-identification'));
    $('<div>').attr({ id: PAGE, 'data-role': 'page' }).append(bar, $('<div>').attr('data-role', 'content').append(
      $('<p>').attr({ id: 'deid-health', role: 'status' }),
      listOf('deid-studies'), listOf('deid-batches'), listOf('deid-sources'))).insertAfter('#lookup');
    $('<a>').attr({ id: 'lookup-deid', href: '#' + PAGE, 'data-role': 'button', 'data-icon': 'gear' })
      .text('De-identification').appendTo('#lookup-form');
  }

  function listOf(id) {
    return $('<ul>').attr({ id: id, 'data-role': 'listview', 'data-inset': 'true' })
      .attr({ 'data-theme': 'd', 'data-divider-theme': 'c' });
  }

  function countOnStartPage() {
    deid.ask('GET', 'deid/health', null, function (health) {
      var count = 0;
      $.each(FOR_A_PERSON, function (_, status) { count += health.studies[status] || 0; });
      $('#lookup-deid .ui-btn-text').text('De-identification' + (count ? ': ' + count +
        (count === 1 ? ' study waits' : ' studies wait') + ' for a person' : ''));
    }, function () { /* the page itself says why */ });
  }

  function end() {
    window.clearTimeout(timer);
    round = null;
  }

  function look() {
    var mine = round = { open: 1 };
    window.clearTimeout(timer);
    ask(mine, 'health', function (health) {
      showHealth(health);
      if (health.checks.database === 'ok') {
        lookAtStudies(mine, health.studies);
      }
    });
    ask(mine, 'batches?limit=' + BATCHES, showBatches);
    ask(mine, 'sources', showSources);
    ended(mine);
  }

  // What is shown stays where there is no answer; the line on top says so.
  function ask(mine, path, show) {
    mine.open += 1;
    deid.ask('GET', 'deid/' + path, null, function (answer) {
      if (mine === round) {
        show(answer);
      }
      ended(mine);
    }, function (status, text) {
      if (mine === round) {
        say(text);
      }
      ended(mine);
    });
  }

  function ended(mine) {
    mine.open -= 1;
    if (!mine.open && mine === round) {
      timer = window.setTimeout(look, POLL_MS);
    }
  }

  function say(text) {
    var line = $('#deid-health');
    if (line.text() !== text) { // else it would be read out at each look
      line.text(text);
    }
  }

  function showHealth(health) {
    var faults = [];
    $.each(health.checks, function (name, said) {
      if (said !== 'ok') {
        faults.push(name + ': ' + said);
      }
    });
    say(faults.length ? 'Something is wrong. ' + faults.join('; ') : 'Everything that is needed works.');
  }

  // States that no study is in are not asked for.
  function lookAtStudies(mine, counts) {
    var found = {};
    var wanted = $.grep(STATES, function (state) { return counts[state.status] > 0; });
    var left = wanted.length;
    function show() {
      showStudies(wanted, counts, found);
    }
    if (!left) {
      show();
    }
    $.each(wanted, function (_, state) {
      ask(mine, 'studies?limit=' + MOST + '&status=' + state.status, function (page) {
        found[state.status] = page.items;
        left -= 1;
        if (!left) {
          show();
        }
      });
    });
  }

  function showStudies(wanted, counts, found) {
    var rows = [];
    $.each(wanted, function (_, state) {
      var more = counts[state.status] - found[state.status].length;
      rows.push({ key: state.status, divider: state.text + ': ' + counts[state.status] });
      $.each(found[state.status], function (_, study) { rows.push(studyRow(study, state)); });
      if (more > 0) {
        rows.push({ key: state.status + '-more', title: 'and ' + more + ' more',
          lines: ['all of them: orthanc-deid studies --status ' + state.status] });
      }
    });
    if (!wanted.length) {
      rows = [{ key: 'none', divider: 'Studies' }, { key: 'nothing', lines: ['No study waits for anything.'] }];
    }
    fill($('#deid-studies'), rows);
  }

  // Who releases a study looks at its result.
  function studyRow(study, state) {
    var shown = state.status === 'review' && study.output || study.source;
    var count = study.instances.received;
    var about = [count + (count === 1 ? ' instance' : ' instances')];
    if (study.project) {
      about.unshift('project ' + study.project);
    }
    return {
      key: 'study-' + study.id, title: 'Study ' + study.id, url: '#study?uuid=' + encodeURIComponent(shown),
      lines: [about.join(', '), study.reason || state.advice]
    };
  }

  function showBatches(page) {
    var rows = [{ key: 'head', divider: 'Batches' + (page.next ? ': the newest ' + BATCHES : '') }];
    $.each(page.items, function (_, batch) { rows.push(batchRow(batch)); });
    if (!page.items.length) {
      rows.push({ key: 'none', lines: ['Nothing was fetched by a list yet: orthanc-deid pull LIST --from NAME'] });
    }
    fill($('#deid-batches'), rows);
  }

  function batchRow(batch) {
    var all = 0, ended = 0, told = [];
    $.each(batch.rows, function (state, count) {
      all += count;
      ended += $.inArray(state, ROWS_ENDED_NOT) === -1 ? count : 0;
      told.push(count + ' ' + state);
    });
    return {
      key: 'batch-' + batch.id, title: 'Batch ' + batch.id + ' from ' + batch.source + ': ' + batch.state,
      progress: [ended, all],
      lines: [ended + ' of ' + all + ' rows ended (' + told.join(', ') + ')', instancesOf(batch)],
      actions: actionsOf('batches/' + batch.id, {
        pause: batch.state === 'running', resume: batch.state === 'paused',
        cancel: batch.state === 'running' || batch.state === 'paused'
      }, 'Stop batch ' + batch.id + '? What has arrived stays and goes its way.')
    };
  }

  function instancesOf(batch) {
    if (batch.mode === 'find') {
      return 'it only asks, nothing is fetched';
    }
    return batch.instances.arrived + ' of ' + batch.instances.expected + ' instances have arrived' +
      (batch.to === 'local' ? '' : ' at ' + batch.to) + (batch.hold ? '; its studies wait in review' : '');
  }

  function showSources(found) {
    var rows = [{ key: 'head', divider: 'Sources' }];
    $.each(found.items, function (_, source) { rows.push(sourceRow(source)); });
    if (!found.items.length) {
      rows.push({ key: 'none', lines: ['None is configured: studies are sent to this Orthanc.'] });
    }
    fill($('#deid-sources'), rows);
  }

  function sourceRow(source) {
    var about = [], state = source.paused ? 'paused' : source.state;
    if (source.state) {
      about.push(source.waiting + ' waiting, ' + source.taken + ' taken, ' + source.refused + ' refused');
    }
    if (source.opens_in_s > 0) {
      about.push('its time window opens in ' + Math.ceil(source.opens_in_s / 60) + ' min');
    }
    return {
      key: 'source-' + source.name,
      title: source.name + ' (' + source.kind + ')' + (state ? ': ' + state : ''),
      lines: [about.join('; '), source.reason],
      actions: actionsOf('sources/' + encodeURIComponent(source.name),
        { pause: !source.paused, resume: source.paused })
    };
  }

  var ACTIONS = { pause: 'Pause', resume: 'Go on', cancel: 'Cancel' };

  function actionsOf(path, possible, question) {
    var actions = [];
    $.each(ACTIONS, function (verb, text) {
      if (possible[verb]) {
        actions.push({ verb: verb, text: text, run: function (fault) {
          if (verb !== 'cancel' || window.confirm(question)) {
            order(path + '/' + verb, fault);
          }
        } });
      }
    });
    return actions;
  }

  function order(path, fault) {
    fault.text('');
    deid.ask('POST', 'deid/' + path, null, function () {
      if (round) {
        look();
      }
    }, function (status, text) { fault.text('not done: ' + text); });
  }

  // Rows that are as they were stay untouched, and a button as long as its row has it: whoever stands on it keeps it.
  function fill(list, rows) {
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
  }

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
  // jQuery Mobile begins with the page that the address names: ours has to be there before it does.
  window.addEventListener('DOMContentLoaded', build, true);
  $(document).on('pagebeforeshow', '#lookup', countOnStartPage);
  $(document).on('pagebeforeshow', '#' + PAGE, look);
  $(document).on('pagehide', '#' + PAGE, end);
}());
