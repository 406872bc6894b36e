// The state of a study on its page in Orthanc Explorer: in words, what can be done, and its deliveries.
(function () {
  'use strict';

  var deid = window.orthancDeid;
  var AT_WORK = ['queued', 'deidentifying', 'verifying', 'converting', 'exporting'];
  var STOPPED = ['quarantined', 'failed', 'cancelled'];
  var RESULT = { study: 'this study is the result', series: 'this series is of the result' };
  var STYLE =
    '.deid-state { white-space: normal; overflow-wrap: anywhere; }' +
    '.deid-state [role=listitem] { font-weight: normal; font-size: 12px; margin-top: .4em; }' +
    '.deid-state .deid-line { font-weight: normal; font-size: 12px; margin-top: .4em; }' +
    '.deid-state button { margin: .3em .4em 0 0; cursor: pointer; }';

  deid.makeState = function (page) {
    return $('<li>').addClass('deid-state').append(
      $('<div>').attr({ id: page + '-deid-state', role: 'status' }),
      $('<div>').attr({ id: page + '-deid-fault', role: 'alert' }).addClass('deid-fault deid-line'),
      $('<div>').attr('id', page + '-deid-actions'),
      $('<div>').attr({ id: page + '-deid-deliveries', role: 'list', 'aria-live': 'polite' }));
  };

  deid.clearState = function (page) {
    $('#' + page + '-deid-actions, #' + page + '-deid-deliveries').empty().removeData('told');
    deid.say(page, '…');
    deid.tell(page, '');
  };

  // `study` is the one in view: identified, or the result. `on` has what a person may ask for: order(verb, otherwise),
  // sendAgain(destination), and what showDecisions wants.
  deid.showState = function (page, study, answer, on) {
    var isResult = answer.output === study;
    var state = stateOf(answer) + (page === 'study' && !isResult ? alsoOf(answer) : '');
    deid.say(page, !isResult ? state : RESULT[page] + (answer.status === 'done' ? '' : '; ' + state));
    showActions($('#' + page + '-deid-actions'), study, answer, on);
    showDeliveries($('#' + page + '-deid-deliveries'), study, answer, on);
  };

  // What comes from the service is set as text: nothing of it becomes HTML.
  deid.say = function (page, text) {
    var line = $('#' + page + '-deid-state');
    if (line.text() !== 'De-identification: ' + text) { // else it would be read out at each look
      line.text('De-identification: ' + text);
    }
  };

  // Why something was not done; it stays until something else is asked for.
  deid.tell = function (page, text) {
    $('#' + page + '-deid-fault').text(text);
  };

  // A reason that names its state says it by itself, as `213 of 240 instances, waiting until 14:20`.
  function stateOf(answer) {
    var reason = answer.reason || '';
    if (reason.indexOf(answer.status) === 0 || (answer.status === 'waiting' && /, waiting until /.test(reason))) {
      return reason;
    }
    return answer.status + (reason ? ': ' + reason : '');
  }

  // What is done with it here is about its first project; the others are reached from their results, or by commands.
  function alsoOf(answer) {
    return $.map(answer.also || [], function (other) {
      return '; in project ' + other.project + ': ' + other.status;
    }).join('');
  }

  function showActions(at, study, answer, on) {
    var drawn = [study, answer.status, answer.output, !!answer.next_attempt_at, answer.conflicts, !!answer.awaited];
    redraw(at, drawn, function () {
      if (answer.output && answer.output !== study) {
        at.append(linkTo(answer.output), ' ');
      }
      var isAtWork = $.inArray(answer.status, AT_WORK) !== -1;
      if ($.inArray(answer.status, STOPPED) !== -1 || (isAtWork && answer.next_attempt_at)) {
        at.append(deid.button(isAtWork ? 'Try now' : 'Try again', function () {
          on.order('retry', 'not tried again: ');
        }));
      }
      if (isAtWork || answer.awaited) {
        at.append(deid.button('Cancel', function () { cancel(on); }));
      }
      deid.showDecisions(at, study, answer, on);
    });
  }

  function cancel(on) {
    if (window.confirm('Stop working on this study? What was sent already stays where it is.')) {
      on.order('cancel', 'not cancelled: ');
    }
  }

  function linkTo(study) {
    // jQuery Mobile ignores a link from the study page to the study page: another query makes it another document.
    var url = 'explorer.html?' + $.now() + '#study?uuid=' + encodeURIComponent(study);
    return $('<a>').attr({ href: url, rel: 'external' }).text('open the result');
  }

  function showDeliveries(at, study, answer, on) {
    redraw(at, [study, answer.deliveries], function () {
      $.each(answer.deliveries || [], function (_, delivery) {
        var line = $('<div>').attr('role', 'listitem')
          .append($('<span>').text(delivery.destination + ': ' + deid.describe(delivery)));
        if (delivery.state === 'failed') {
          line.append(' ', deid.button('Send again', function () { on.sendAgain(delivery.destination); })
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

  deid.confirmIncomplete = function (awaited) {
    return window.confirm((awaited.expected === null ? 'It is not known whether all of it is here' :
      awaited.present + ' of ' + awaited.expected + ' instances are here') + '. De-identify what is here now?');
  };

  $('<style>').text(STYLE).appendTo('head');
}());
