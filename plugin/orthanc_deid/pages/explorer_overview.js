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
  var round = null; // of questions while the page is in view: what comes for an earlier one is dropped
  var timer = null;

  function build() {
    // The bar on top is that of the start page, whichever version of Orthanc this is.
    var bar = $('#lookup > [data-role=header]').clone();
    bar.find('h1').text('De-identification').prepend($('<span>').addClass('orthanc-name'));
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
    $('#deid-health').toggleClass('deid-fault', faults.length > 0);
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
    deid.fill($('#deid-studies'), rows);
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
    deid.fill($('#deid-batches'), rows);
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
    var count = batch.instances;
    if (!count.expected && !count.arrived) {
      return 'no instances were found yet';
    }
    return count.arrived + ' of ' + count.expected + ' instances have arrived' +
      (batch.to === 'local' ? '' : ' at ' + batch.to) + (batch.hold ? '; its studies are held for review' : '');
  }

  function showSources(found) {
    var rows = [{ key: 'head', divider: 'Sources' }];
    $.each(found.items, function (_, source) { rows.push(sourceRow(source)); });
    if (!found.items.length) {
      rows.push({ key: 'none', lines: ['None is configured: studies are sent to this Orthanc.'] });
    }
    deid.fill($('#deid-sources'), rows);
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

  // jQuery Mobile begins with the page that the address names: ours has to be there before it does.
  window.addEventListener('DOMContentLoaded', build, true);
  $(document).on('pagebeforeshow', '#lookup', countOnStartPage);
  $(document).on('pagebeforeshow', '#' + PAGE, look);
  $(document).on('pagehide', '#' + PAGE, end);
}());
