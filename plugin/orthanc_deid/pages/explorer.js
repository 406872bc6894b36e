// The "De-identify" entry on the study and the series page of Orthanc Explorer, and the state of the study below it.
// Loaded into Orthanc Explorer by main.py; jQuery 1.7 and jQuery Mobile are Orthanc Explorer's.
(function () {
  'use strict';

  var POLL_MS = 2000;
  var END_STATES = ['done', 'quarantined', 'failed', 'rejected', 'cancelled', 'ignored'];
  var timer = null;
  var shown = 0; // counts page changes: an answer that comes after one is not for the page in view

  function addEntry(page) {
    var list = $('#' + page + '-delete').closest('ul');
    var link = $('<a>').attr('href', '#').attr('id', page + '-deid').text('De-identify');
    list.append($('<li>').attr('data-icon', 'gear').append(link));
    list.append($('<li>').attr('id', page + '-deid-state').attr('role', 'status')
      .css('overflow-wrap', 'anywhere').text('…'));
    link.click(function (event) {
      event.preventDefault();
      withStudy(page, function (study) { start(page, study); });
    });
  }

  // Calls back with Orthanc's id of the study in view; a series is processed with its whole study.
  function withStudy(page, callback) {
    var uuid = $.mobile.pageData && $.mobile.pageData.uuid;
    var of = shown;
    if (!uuid) {
      return;
    }
    if (page === 'study') {
      callback(uuid);
      return;
    }
    ask('GET', '../series/' + encodeURIComponent(uuid), function (series) {
      if (of === shown) {
        callback(series.ParentStudy);
      }
    }, function () { say(page, 'this series is not known'); });
  }

  function ask(method, url, success, failure) {
    $.ajax({
      type: method, url: url, dataType: 'json', cache: false, timeout: 30000,
      contentType: 'application/json', data: method === 'POST' ? '{}' : undefined,
      success: success,
      error: function (request) {
        var problem = {};
        try {
          problem = JSON.parse(request.responseText) || {};
        } catch (e) { /* no problem JSON: Orthanc itself is away */ }
        failure(request.status, problem.detail || problem.title || 'no answer');
      }
    });
  }

  function start(page, study) {
    var of = shown;
    say(page, 'asking for it…');
    ask('POST', urlOf(study) + '/process', function (answer) {
      if (of === shown) {
        show(page, study, answer);
      }
    }, function (status, text) {
      if (of === shown) {
        say(page, 'not started: ' + text);
      }
    });
  }

  function look(page, study) {
    var of = shown;
    ask('GET', urlOf(study), function (answer) {
      if (of === shown) {
        show(page, study, answer);
      }
    }, function (status, text) {
      if (of !== shown) {
        return;
      }
      say(page, status === 404 ? 'not processed yet' : text);
      if (status !== 404) {
        later(page, study);
      }
    });
  }

  function show(page, study, answer) {
    if (answer.output === study) {
      say(page, 'this study is the result');
      return;
    }
    say(page, answer.status + (answer.reason ? ': ' + answer.reason : ''), answer.status === 'done' && answer.output);
    if ($.inArray(answer.status, END_STATES) === -1) {
      later(page, study);
    }
  }

  // What comes from the service is set as text: nothing of it becomes HTML.
  function say(page, text, output) {
    var line = $('#' + page + '-deid-state').empty().append($('<span>').text('De-identification: ' + text));
    if (output) {
      line.append(document.createTextNode(' '));
      // jQuery Mobile ignores a link from the study page to the study page: another query makes it another document.
      var url = 'explorer.html?' + $.now() + '#study?uuid=' + encodeURIComponent(output);
      line.append($('<a>').attr({ href: url, rel: 'external' }).text('open the result'));
    }
  }

  function later(page, study) {
    window.clearTimeout(timer);
    timer = window.setTimeout(function () { look(page, study); }, POLL_MS);
  }

  function urlOf(study) {
    return '../deid/studies/' + encodeURIComponent(study);
  }

  $.each(['study', 'series'], function (_, page) {
    $(document).on('pagebeforecreate', '#' + page, function () { addEntry(page); });
    $(document).on('pagebeforeshow', '#' + page, function () {
      shown += 1;
      window.clearTimeout(timer);
      say(page, '…');
      withStudy(page, function (study) { look(page, study); });
    });
    $(document).on('pagehide', '#' + page, function () {
      shown += 1;
      window.clearTimeout(timer);
    });
  });
}());
